#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# E2ETrust in DevStack: verifier and API on the controller, agent and hook on each compute node,
# filter and weigher in the scheduler. DevStack sources this with a mode and a phase.

_XTRACE_E2ETRUST=$(set +o | grep xtrace)
set +o xtrace

E2ETRUST_BIN_DIR=$(get_python_exec_prefix)

# --- the emulated TPM --------------------------------------------------------------------------

# The control channel is beside it, at the same path with ".ctrl".
function e2etrust_tpm_socket {
    echo "$E2ETRUST_DATA_DIR/tpm/tpm.sock"
}

# init_e2etrust_tpm - make the emulated TPM, once: its seeds are the host's identity
function init_e2etrust_tpm {
    local state=$E2ETRUST_DATA_DIR/tpm
    if [[ -e $state/tpm2-00.permall ]]; then
        return
    fi
    sudo install -d -m 0700 -o root -g root $state
    sudo swtpm_setup --tpm2 --tpmstate $state --pcr-banks sha256 --overwrite
}

function start_e2etrust_tpm {
    local socket
    socket=$(e2etrust_tpm_socket)
    local command="$(which swtpm) socket --tpm2 --flags not-need-init,startup-clear"
    command+=" --tpmstate dir=$E2ETRUST_DATA_DIR/tpm --server type=unixio,path=$socket"
    command+=" --ctrl type=unixio,path=$socket.ctrl"
    run_process e2etrust-tpm "$command" root root
}

# --- install -----------------------------------------------------------------------------------

function install_e2etrust {
    if [[ "$E2ETRUST_TPM" != @(device|swtpm) ]]; then
        die $LINENO "E2ETRUST_TPM is '$E2ETRUST_TPM': device or swtpm is meant"
    fi
    if is_ubuntu; then
        install_package libtss2-dev pkg-config swtpm swtpm-tools
    else
        install_package tpm2-tss-devel pkgconf swtpm swtpm-tools
    fi
    # The commands and validators are wanted on every node, the hook where servers run.
    local extras=""
    if is_service_enabled e2etrust-agent; then
        extras=host
    fi
    setup_develop $E2ETRUST_DIR $extras
}

# --- configure ---------------------------------------------------------------------------------

function configure_e2etrust_verifier {
    sudo install -d -o $STACK_USER $E2ETRUST_CONF_DIR $E2ETRUST_POLICY_DIR
    sudo install -d -o $STACK_USER $E2ETRUST_DATA_DIR
    # Empty and private first: it is to hold passwords.
    install -m 0600 /dev/null $E2ETRUST_VERIFIER_CONF
    local conf=$E2ETRUST_VERIFIER_CONF
    iniset $conf DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset_rpc_backend e2etrust $conf
    iniset $conf database connection "$(database_connection_url e2etrust)"
    iniset $conf verifier policy_dir $E2ETRUST_POLICY_DIR
    iniset $conf verifier signing_key $E2ETRUST_CONF_DIR/signing-key.pem
    configure_keystone_authtoken_middleware $conf e2etrust keystone_authtoken attestation
    configure_keystoneauth $conf e2etrust service_auth
    configure_keystoneauth $conf e2etrust placement
    iniset $conf placement region_name $REGION_NAME
    if is_service_enabled barbican; then
        iniset $conf key_manager backend barbican
        iniset $conf barbican auth_endpoint $KEYSTONE_SERVICE_URI/v3
        iniset $conf barbican barbican_region_name $REGION_NAME
    fi
    write_uwsgi_config "$E2ETRUST_UWSGI_CONF" e2etrust_verifier.api.wsgi:application \
        /attestation "" e2etrust-api
}

# pin_e2etrust_verifier - the keys that this node knows the verifier by; elsewhere than beside it
# what its API tells when the node is stacked
function pin_e2etrust_verifier {
    local keys
    if is_service_enabled e2etrust-verifier; then
        keys=$($E2ETRUST_BIN_DIR/e2etrust-manage --config-file $E2ETRUST_VERIFIER_CONF key jwks)
    else
        keys=$(curl --fail --silent --show-error \
            $SERVICE_PROTOCOL://$SERVICE_HOST/attestation/v1/jwks)
    fi
    sudo install -d -m 0755 $E2ETRUST_CONF_DIR
    sudo tee $E2ETRUST_VERIFIER_KEYS >/dev/null <<<"$keys"
}

# configure_e2etrust_nova - the scheduler's filter and weigher
function configure_e2etrust_nova {
    local filters
    filters=$(iniget $NOVA_CONF filter_scheduler enabled_filters)
    filters=${filters:-$NOVA_FILTERS}
    if [[ ,$filters, != *,TrustedHostFilter,* ]]; then
        filters+=,TrustedHostFilter
    fi
    iniset $NOVA_CONF filter_scheduler enabled_filters "$filters"
    iniset_multiline $NOVA_CONF filter_scheduler available_filters \
        nova.scheduler.filters.all_filters e2etrust_nova.scheduler.filters.TrustedHostFilter
    iniset_multiline $NOVA_CONF filter_scheduler weight_classes \
        nova.scheduler.weights.all_weighers e2etrust_nova.scheduler.weighers.FreshnessWeigher
    iniset $NOVA_CONF e2etrust verifier_keys $E2ETRUST_VERIFIER_KEYS
    if [[ "$E2ETRUST_TELL_TENANTS" == True ]]; then
        iniset $NOVA_CONF scheduler max_attempts 1
    fi
}

function configure_e2etrust_agent {
    sudo install -d $E2ETRUST_DATA_DIR
    # A private file first: it is to hold the broker's password.
    sudo install -m 0600 -o root -g root /dev/null $E2ETRUST_AGENT_CONF
    iniset -sudo $E2ETRUST_AGENT_CONF DEFAULT transport_url "$(get_transport_url)"
    if is_service_enabled e2etrust-tpm; then
        iniset -sudo $E2ETRUST_AGENT_CONF agent tcti "swtpm:path=$(e2etrust_tpm_socket)"
        iniset -sudo $E2ETRUST_AGENT_CONF agent event_log ""
        iniset -sudo $E2ETRUST_AGENT_CONF agent ima_list ""
        iniset -sudo $E2ETRUST_AGENT_CONF agent systemd_log ""
    fi
    iniset -sudo $E2ETRUST_AGENT_CONF agent verifier_keys $E2ETRUST_VERIFIER_KEYS
    iniset $NOVA_CPU_CONF libvirt swtpm_enabled True
    # A live snapshot of a sealed disk is plain.
    iniset $NOVA_CPU_CONF workarounds disable_libvirt_livesnapshot True
    sudo $E2ETRUST_BIN_DIR/e2etrust-host-setup --commands $E2ETRUST_BIN_DIR
    # A libvirtd that was started without a hook ignores it.
    restart_service libvirtd
}

# --- start -------------------------------------------------------------------------------------

function create_e2etrust_accounts {
    # "admin" to set traits in Placement, "service" to read image keys that tenants let it read.
    create_service_user e2etrust admin
    get_or_create_service e2etrust attestation "E2ETrust attestation service"
    get_or_create_endpoint attestation "$REGION_NAME" \
        "$SERVICE_PROTOCOL://$SERVICE_HOST/attestation"
}

function init_e2etrust_verifier {
    recreate_database e2etrust
    local manage="$E2ETRUST_BIN_DIR/e2etrust-manage --config-file $E2ETRUST_VERIFIER_CONF"
    $manage db sync
    if [[ ! -e $E2ETRUST_CONF_DIR/signing-key.pem ]]; then
        $manage key create
    fi
    # A policy that only observes: it trusts nobody, and lets hosts be learnt from.
    if [[ -z $(ls $E2ETRUST_POLICY_DIR) ]]; then
        cat >$E2ETRUST_POLICY_DIR/zz-observe.yaml <<OBSERVE
name: observe
hosts: ["*"]
observe: {sha256: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]}
OBSERVE
    fi
    create_e2etrust_accounts
}

function start_e2etrust_verifier {
    run_process e2etrust-verifier \
        "$E2ETRUST_BIN_DIR/e2etrust-verifier --config-file $E2ETRUST_VERIFIER_CONF"
    run_process e2etrust-api \
        "$(which uwsgi) --procname-prefix e2etrust-api --ini $E2ETRUST_UWSGI_CONF"
}

function start_e2etrust_agent {
    if is_service_enabled e2etrust-tpm; then
        init_e2etrust_tpm
        start_e2etrust_tpm
    fi
    # The operator's word for this TPM: emulated ones have no maker, and many real ones no certificate.
    local identity
    identity=$(sudo $E2ETRUST_BIN_DIR/e2etrust-agent --config-file $E2ETRUST_AGENT_CONF --show-identity)
    local host digest
    host=$(e2etrust_field host <<<"$identity")
    digest=$(e2etrust_field ek_sha256 <<<"$identity")
    openstack --os-cloud devstack-admin attestation host enrol $host --ek-sha256 $digest --replace
    run_process e2etrust-agent \
        "$E2ETRUST_BIN_DIR/e2etrust-agent --config-file $E2ETRUST_AGENT_CONF" root root
    if is_service_enabled e2etrust-verifier && [[ "$E2ETRUST_LEARN" == True ]]; then
        learn_e2etrust_host $host
    fi
}

# e2etrust_field NAME - one text field of the JSON object on standard input
function e2etrust_field {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' $1
}

# learn_e2etrust_host HOST - judge the host by what it is now
function learn_e2etrust_host {
    local host=$1
    local policy=$E2ETRUST_POLICY_DIR/10-$host.yaml
    if [[ -e $policy ]]; then
        return
    fi
    local learnt deadline=$((SECONDS + E2ETRUST_LEARN_TIMEOUT))
    while ! learnt=$(openstack --os-cloud devstack-admin attestation policy learn $host \
        --name devstack-$host --for $host); do
        if ((SECONDS >= deadline)); then
            die $LINENO "host $host sent no evidence: look at devstack@e2etrust-agent"
        fi
        sleep 3
    done
    echo "$learnt" >$policy
    # It failed before there was a policy that it could satisfy.
    openstack --os-cloud devstack-admin attestation host approve $host
}

function create_e2etrust_flavor {
    if [[ -z "$E2ETRUST_FLAVOR" ]]; then
        return
    fi
    if ! openstack --os-cloud devstack-admin flavor show $E2ETRUST_FLAVOR >/dev/null 2>&1; then
        openstack --os-cloud devstack-admin flavor create --ram 512 --vcpus 1 --disk 5 \
            --property trust:trusted_host=trusted $E2ETRUST_FLAVOR
    fi
}

# --- stop, clean -------------------------------------------------------------------------------

function stop_e2etrust {
    local service
    for service in e2etrust-agent e2etrust-api e2etrust-verifier e2etrust-tpm; do
        stop_process $service
    done
}

function cleanup_e2etrust {
    if [[ -x $E2ETRUST_BIN_DIR/e2etrust-host-setup ]]; then
        sudo $E2ETRUST_BIN_DIR/e2etrust-host-setup --undo
    fi
    remove_uwsgi_config "$E2ETRUST_UWSGI_CONF" e2etrust-api
    # The agent's keys too: a host that is stacked again is enrolled again.
    sudo rm -rf $E2ETRUST_CONF_DIR $E2ETRUST_DATA_DIR /var/lib/e2etrust
}

# --- DevStack's phases -------------------------------------------------------------------------

case "$1:$2" in
stack:install)
    echo_summary "Installing E2ETrust"
    install_e2etrust
    ;;
stack:post-config)
    echo_summary "Configuring E2ETrust"
    if is_service_enabled e2etrust-verifier; then
        configure_e2etrust_verifier
        init_e2etrust_verifier
    fi
    if is_service_enabled e2etrust-verifier e2etrust-agent n-sch; then
        pin_e2etrust_verifier
    fi
    if is_service_enabled n-sch; then
        configure_e2etrust_nova
    fi
    if is_service_enabled e2etrust-agent; then
        configure_e2etrust_agent
    fi
    ;;
stack:extra)
    echo_summary "Starting E2ETrust"
    if is_service_enabled e2etrust-verifier; then
        start_e2etrust_verifier
        create_e2etrust_flavor
    fi
    if is_service_enabled e2etrust-agent; then
        start_e2etrust_agent
    fi
    ;;
unstack:*)
    stop_e2etrust
    ;;
clean:*)
    cleanup_e2etrust
    ;;
esac

$_XTRACE_E2ETRUST
