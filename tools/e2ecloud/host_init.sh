#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PID 1 of a compute host.  Arguments: HOST_DIR LOG_DIR NAME UUID READY_FILE HOSTS_FILE CHECKOUT
# HOST_DIR is the host's disk: it stays when the power is cut; /run and the processes do not.
set -eu
disk=$1 logs=$2 name=$3 uuid=$4 ready=$5 hosts=$6 checkout=$7
hostname "$name"
mkdir -p "$disk/tpm"
# Layers over the machine's own directories: what the host creates there stays on the host's disk.
for dir in etc opt var/lib var/log var/cache; do
    layer=$disk/layers/${dir//\//-}
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$layer/upper,workdir=$layer/work" "/$dir"
done
# The wires to the TPM chip are outside of this host's /run: keep them reachable in the new one.
mount --bind "/run/e2etrust-tpm/$name" "$disk/tpm"
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/libvirt /run/lock /run/e2etrust-tpm /run/e2etrust-firmware
mount --move "$disk/tpm" /run/e2etrust-tpm

bind() {
    mkdir -p "$1" "$2"
    mount --bind "$1" "$2"
}
# Only what belongs to this host: through the overlay alone another libvirtd's domains would show.
for dir in libvirt nova e2etrust; do bind "$disk/etc/$dir" "/etc/$dir"; done
for dir in libvirt nova e2etrust swtpm-localca; do bind "$disk/var/lib/$dir" "/var/lib/$dir"; done
bind "$disk/var/cache/libvirt" /var/cache/libvirt
bind "$disk/opt/e2etrust" /opt/e2etrust
# The Python environment is shared and finds our packages in the checkout: on this host it finds
# what the host has installed and measured instead.
for package in "$disk"/opt/e2etrust/*/; do
    [ ! -d "$package" ] || mount --bind "$package" "$checkout/$(basename "$package")"
done
for dir in libvirt swtpm nova e2etrust; do bind "$logs/$dir" "/var/log/$dir"; done
mkdir -p /var/lib/libvirt/{qemu,images,boot,swtpm,dnsmasq} /var/log/libvirt/qemu \
    /var/log/swtpm/libvirt/qemu /var/lib/nova/instances /var/lib/nova/lock
chown tss:tss /var/lib/swtpm-localca
chown -R tss:root /var/log/swtpm
chmod 711 /var/lib/libvirt
chmod 730 /var/log/swtpm/libvirt/qemu
chmod 700 /var/lib/e2etrust
echo "${uuid//-/}" > /etc/machine-id
echo "$name" > /etc/hostname
cat "$hosts" > /etc/hosts
ip link set lo up
: > "$ready"
# bash reaps what QEMU and swtpm leave behind when they daemonize; plain sleep would not.
set +e
while :; do sleep 3600; done
