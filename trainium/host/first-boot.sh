#!/bin/bash
# Makes an instance the agent's. Runs as root at each boot, until it succeeds, by annapurna-first-boot.service;
# the user data wrote both, and /etc/annapurna/agent.env before: the agent's variables, AWS_REGION, and
# AGENT_BUNDLE_PARAMETER, the SSM parameter that names the bundle (an s3:// address of a zip: trainium-agent,
# python/, host/).
#
# Every step may run again. What changes later comes with the bundle, which `prepare` fetches at every
# start of the agent; this script only installs what that needs.
set -euo pipefail

readonly VARIABLES=/etc/annapurna/agent.env
readonly LIBRARY=/usr/local/lib/annapurna

log() {
    echo "annapurna first boot: $*" >&2
}

# Only what the image lacks is downloaded.
install_packages() {
    local missing=()
    command -v bwrap > /dev/null || missing+=(bubblewrap)
    command -v nft > /dev/null || missing+=(nftables)
    command -v python3 > /dev/null || missing+=(python3)
    command -v aws > /dev/null || log "the image has no aws CLI: the bundle cannot be fetched"
    ((${#missing[@]})) || return 0
    log "installing ${missing[*]}"
    if command -v apt-get > /dev/null; then
        # cloud-init and unattended upgrades may hold the lock for minutes.
        apt-get -o DPkg::Lock::Timeout=600 update -q
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q "${missing[@]}"
    else
        dnf install -y -q "${missing[@]}"
    fi
}

add_user() {
    if ! id annapurna > /dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin annapurna
    fi
}

# The newest environment of the Deep Learning AMI Neuron for AGENT_BACKEND that is not one of its inference stacks.
# Without one the name that was looked for: the agent says that it is not there and takes no batch, since a paid
# instance on which each program fails is worse than one that says why it does nothing.
find_python() {
    local candidates=() folder name=pytorch
    [[ $(sed -n 's/^AGENT_BACKEND=//p' "$VARIABLES") != torch-neuron ]] || name=torch_neuronx
    for folder in /opt/aws_neuronx_venv_"$name"_*; do
        if [[ -x $folder/bin/python && $folder != *nxd* && $folder != *inference* ]]; then
            candidates+=("$folder/bin/python")
        fi
    done
    if ((${#candidates[@]} == 0)); then
        log "the image has no /opt/aws_neuronx_venv_${name}_*: no batch will be taken"
        echo "/opt/aws_neuronx_venv_${name}_*/bin/python"
        return
    fi
    printf '%s\n' "${candidates[@]}" | sort --version-sort | tail -n 1
}

set_python() {
    local python
    python=$(sed -n 's/^AGENT_PYTHON=//p' "$VARIABLES")
    if [[ ! -x $python ]]; then
        python=$(find_python)
        sed -i '/^AGENT_PYTHON=/d' "$VARIABLES"
        echo "AGENT_PYTHON=$python" >> "$VARIABLES"
        log "programs run with $python"
    fi
}

write_prepare() {
    install -d -m 755 "$LIBRARY"
    cat > "$LIBRARY/prepare.new" << 'PREPARE'
#!/bin/bash
# Before every start of the agent, as root: closes the metadata service to all but root and the agent, and
# brings /opt/annapurna/current to the bundle that the stack names. Without a connection the bundle that is
# there is started.
set -euo pipefail

readonly HOME_FOLDER=/opt/annapurna
readonly UNITS=/etc/systemd/system
readonly PROFILE=/etc/apparmor.d/annapurna-bwrap

# The instance's credentials are behind these addresses.
close_metadata() {
    nft -f - << RULES
table inet annapurna
delete table inet annapurna
table inet annapurna {
    chain output {
        type filter hook output priority filter; policy accept;
        ip daddr 169.254.169.254 meta skuid != { 0, $(id -u annapurna) } drop
        ip6 daddr fd00:ec2::254 meta skuid != { 0, $(id -u annapurna) } drop
    }
}
RULES
}

wanted_bundle() {
    aws ssm get-parameter --region "$AWS_REGION" --name "$AGENT_BUNDLE_PARAMETER" \
        --query Parameter.Value --output text
}

fetch_bundle() {
    local source=$1 folder account address
    install -d -m 755 "$HOME_FOLDER"
    folder=$(mktemp -d "$HOME_FOLDER/release.XXXXXX")
    chmod 755 "$folder"
    # A bucket of that name in another account could hold anything: S3 refuses it.
    account=$(aws sts get-caller-identity --region "$AWS_REGION" --query Account --output text)
    address=${source#s3://}
    aws s3api get-object --region "$AWS_REGION" --expected-bucket-owner "$account" \
        --bucket "${address%%/*}" --key "${address#*/}" "$folder/bundle.zip" > /dev/null
    # The bundle's name is its digest, and the name comes from the stack.
    echo "$(basename "$address" .zip)  $folder/bundle.zip" | sha256sum --check --quiet
    python3 -m zipfile -e "$folder/bundle.zip" "$folder"
    rm "$folder/bundle.zip"
    chmod 755 "$folder/trainium-agent"
    test -f "$folder/python/dataset_loader.py"
    echo "$source" > "$folder/source"
    ln -sfn "$folder" "$HOME_FOLDER/current.new"
    mv -T "$HOME_FOLDER/current.new" "$HOME_FOLDER/current"
    find "$HOME_FOLDER" -mindepth 1 -maxdepth 1 -name 'release.*' ! -path "$folder" -exec rm -rf {} +
}

# A changed unit of the agent holds from the next start on.
install_units() {
    local unit changed=no
    for unit in annapurna-agent.service annapurna-journal.service; do
        if ! cmp -s "$HOME_FOLDER/current/host/$unit" "$UNITS/$unit"; then
            install -m 644 "$HOME_FOLDER/current/host/$unit" "$UNITS/$unit"
            changed=yes
        fi
    done
    [[ $changed == no ]] || systemctl daemon-reload
    # Its code comes with each bundle. It must not hold up the agent, which waits for this script.
    if grep -q '^AGENT_LOG_GROUP=' /etc/annapurna/agent.env; then
        systemctl enable --quiet annapurna-journal.service
        systemctl restart --no-block annapurna-journal.service
    fi
}

# Without it Ubuntu's kernel refuses the sandbox its user namespace.
allow_sandbox() {
    if [[ -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]] \
        && ! cmp -s "$HOME_FOLDER/current/host/apparmor-bwrap" "$PROFILE"; then
        install -m 644 "$HOME_FOLDER/current/host/apparmor-bwrap" "$PROFILE"
        apparmor_parser --replace "$PROFILE"
    fi
}

if [[ ${1:-} == fetch ]]; then
    fetch_bundle "$2"
    exit
fi
close_metadata
current=$(cat "$HOME_FOLDER/current/source" 2> /dev/null || true)
if wanted=$(wanted_bundle); then
    # A process of its own, because `set -e` does not hold inside the condition of an `if`.
    if [[ $wanted != "$current" ]] && ! "$0" fetch "$wanted"; then
        echo "cannot fetch $wanted" >&2
        test -n "$current"
    fi
else
    echo "cannot read the parameter $AGENT_BUNDLE_PARAMETER" >&2
    test -n "$current"
fi
allow_sandbox
install_units
PREPARE
    chmod 755 "$LIBRARY/prepare.new"
    mv "$LIBRARY/prepare.new" "$LIBRARY/prepare"
}

start_agent() {
    set -a
    # shellcheck source=/dev/null
    source "$VARIABLES"
    set +a
    "$LIBRARY/prepare"
    systemctl enable --now annapurna-agent.service
}

test -f "$VARIABLES" || {
    log "$VARIABLES is missing: the user data writes it before this script"
    exit 1
}
log "packages"
install_packages
add_user
set_python
write_prepare
log "bundle and service"
start_agent
log "done"
