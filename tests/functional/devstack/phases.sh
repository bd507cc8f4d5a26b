#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run the plugin's phases as stack.sh, unstack.sh and clean.sh do, with DevStack's own functions.
# phases.sh DEVSTACK CHECKOUT VENV WORK SERVICES PHASE...   (a phase is MODE or MODE:PHASE)
# In a mount namespace of its own: /etc is an overlay, and what would reach out of the machine
# (sudo, systemctl, apt, keystone's client) is a stub that writes down how it was called.
set -o errexit -o pipefail
devstack=$1 checkout=$2 venv=$3 work=$4 services=$5
shift 5

mkdir -p $work/{etc,lib}.{upper,work} $work/{bin,dest,data}
over() { mount -t overlay overlay -o lowerdir=$1,upperdir=$work/$2.upper,workdir=$work/$2.work $1; }
over /etc etc
over /var/lib lib
trap '[[ ! -e $work/tpm.pid ]] || kill $(cat $work/tpm.pid) 2>/dev/null || true' EXIT
mkdir -p /etc/apache2/sites-available /etc/nova /etc/libvirt/hooks
for name in nova nova-cpu; do
    [[ -e /etc/nova/$name.conf ]] || printf '[DEFAULT]\n[filter_scheduler]\nenabled_filters = ComputeFilter\n' \
        >/etc/nova/$name.conf
done

stub() { printf '#!/bin/bash\n%s\n' "$2" >$work/bin/$1 && chmod +x $work/bin/$1; }
note='echo "${0##*/} $*" >>'$work/calls
stub sudo 'while [[ $1 == -* || $1 == *=* ]]; do shift; done; exec "${1/#\/bin\/systemctl/systemctl}" "${@:2}"'
stub curl "$note"'; echo "{\"keys\": [{\"kid\": \"a-key\"}]}"'
for name in service a2ensite a2dissite a2enmod systemd-tmpfiles apt-get uwsgi; do
    stub $name "$note"
done
# The TPM is a real one: the agent tells its keys. The services would need the whole cloud.
stub systemctl "$note"'
unit=/etc/systemd/system/${!#}
case "$1 ${!#}" in
"start devstack@e2etrust-tpm.service")
    command=$(sed -n "s/^ExecStart = //p" $unit)
    setsid $command </dev/null >/dev/null 2>&1 &
    echo $! >'$work'/tpm.pid
    for _ in {1..50}; do [[ -S '$work'/data/e2etrust/tpm/tpm.sock ]] && exit 0; sleep 0.1; done
    exit 1 ;;
"stop devstack@e2etrust-tpm.service") kill $(cat '$work'/tpm.pid) ;;
esac'
stub openstack "$note"'
case "$*" in
*"flavor show"*) exit 1 ;;
*"policy learn"*) printf "name: learnt\nhosts: [h]\npcrs: {sha256: {0: [%064d]}}\n" 0 ;;
*" show "* | *" create "*) echo an-id ;;
esac'
export PATH=$work/bin:$PATH

TOP_DIR=$devstack DEST=$work/dest DATA_DIR=$work/data FILES=$devstack/files STACK_USER=root
HOST_IP=127.0.0.1 SERVICE_HOST=127.0.0.1 SERVICE_PASSWORD=secret RABBIT_PASSWORD=secret
RABBIT_HOST=127.0.0.1 RABBIT_USERID=stackrabbit OFFLINE=True GLOBAL_VENV=True DEVSTACK_VENV=$venv
KEYSTONE_SERVICE_URI=http://127.0.0.1/identity SERVICE_PROTOCOL=http REGION_NAME=RegionOne
SERVICE_DOMAIN_NAME=Default SERVICE_PROJECT_NAME=service API_WORKERS=1 WORKER_TIMEOUT=10
NOVA_CONF=/etc/nova/nova.conf NOVA_CPU_CONF=/etc/nova/nova-cpu.conf DATABASE_TYPE=sqlite
SYSTEMCTL="sudo systemctl" SYSTEMD_DIR=/etc/systemd/system KILL_PATH=/bin/kill
ENABLED_SERVICES=$services E2ETRUST_DIR=$checkout E2ETRUST_LEARN_TIMEOUT=3
export REQUIREMENTS_DIR= PYTHON3_VERSION=3.11 ENABLE_DEBUG_LOG_LEVEL=True
source $devstack/functions
source $devstack/lib/database
source $devstack/lib/rpc_backend
source $devstack/lib/apache
source $devstack/lib/keystone
KEYSTONE_SERVICE_URI=http://127.0.0.1/identity APACHE_NAME=apache2 APACHE_CONF_DIR=/etc/apache2/sites-available
# A database back end as DevStack's own are.
database_connection_url_sqlite() { echo "sqlite:///$work/$1.sqlite"; }
recreate_database_sqlite() { rm -f "$work/$1.sqlite"; }
set +o errexit
GITDIR[e2etrust]=$checkout
DEVSTACK_PLUGINS=e2etrust
load_plugin_settings
set -o errexit
for phase in "$@"; do
    echo "=== $phase"
    run_plugins ${phase%%:*} ${phase#*:}
done
echo "=== enabled $ENABLED_SERVICES"
