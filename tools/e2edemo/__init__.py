# SPDX-License-Identifier: Apache-2.0
"""The story that ``tools/demo`` tells and ``tests/cloud`` asserts, on the real cloud.

``stage`` is what a chapter can do to the cloud, ``story`` has one file per chapter, ``chapters``
runs them in order and says what came, ``report`` prints it.
"""
