#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PID 1 of the cloud's namespace.  Arguments: STATE_DIR ETC_DIR BRIDGE_IP/PREFIX READY_FILE HOSTS_FILE
# Everything below lives in this namespace only; SIGKILL of this process takes it all away.
set -eu
state=$1 etc=$2 address=$3 ready=$4 hosts=$5
mkdir -p "$state/etc.upper" "$state/etc.work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$state/etc.upper,workdir=$state/etc.work" /etc
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/e2ecloud /run/e2etrust-tpm
for dir in "$etc"/*/; do
    name=$(basename "$dir")
    mkdir -p "/etc/$name"
    mount --bind "$dir" "/etc/$name"
done
cat "$hosts" > /etc/hosts
hostname controller
ip link set lo up
ip link add br0 type bridge
ip addr add "$address" dev br0
ip link set br0 up
: > "$ready"
# Wait in short builtin reads so that bash reaps every orphan that daemons leave here.
set +e
while :; do sleep 3600; done
