# SPDX-License-Identifier: Apache-2.0
"""The libvirt hook: the gate at every start, on every host, whoever asked for the start.

https://libvirt.org/hooks.html.  ``main`` is the program, ``gate`` what happens at each step,
``machine`` and ``firmware`` what is measured, ``launch_state`` what is kept between steps.
"""
