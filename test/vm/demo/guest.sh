#!/bin/bash
# The demo's part inside the guest. A step that does not do what its headline says ends it with exit code 1.
set -uo pipefail
cd /job
policy=/etc/hostarmor/policies/demo.toml
number=0

step() {
	number=$((number + 1))
	printf '\n\033[1m%d. %s\033[0m\n' "$number" "$*"
}

fail() {
	printf '\n\033[1mThe demo failed: %s\033[0m\n' "$*"
	systemctl status --no-pager --lines 20 hostarmor.service
	exit 1
}

# indented breaks long lines at words, and takes away who refused: the shell that typed for us.
indented() { sed 's/^bash: line 1: //; s/^ *$//' | fold -s -w 96 | sed 's/^/    /'; }

# show prints a command as one would type it, and runs it.
show() {
	printf '  # %s\n' "$1"
	bash -o pipefail -c "$1" 2>&1 | indented
	return "${PIPESTATUS[0]}"
}

works() { show "$1" || fail "\"$1\" ended with exit code $?"; }

# refused accepts only the kernel's refusal, and not any other failure of the command.
refused() {
	local output
	printf '  # %s\n' "$1"
	output=$(bash -c "$1" 2>&1) && fail "\"$1\" was permitted"
	indented <<<"$output"
	grep -q 'Permission denied' <<<"$output" || fail "\"$1\" failed, and not because permission was denied"
}

# eventually repeats a quiet condition for up to a minute.
eventually() {
	local tries=0
	until bash -c "$2" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || fail "$1"
		sleep 0.5
	done
}

step "A plain Debian: curl runs, and anybody can read the secret"
mkdir -p /srv/secret && echo "the launch code" >/srv/secret/code
works "uname -sr"
works "curl --version | cut -d' ' -f-3 | sed -n 1p"
works "cat /srv/secret/code"

step "Install the package"
works "dpkg -i hostarmor.deb"
works "systemctl is-active hostarmor"
works "hostarmor status | sed -n 1p"

step "Write a policy: no curl on this host, and nobody touches /srv/secret/"
install -D -m 0644 demo.toml $policy
works "cat $policy"
works "hostarmor check $policy"
eventually "curl still runs a minute after the policy was written" '! curl --version'
works "hostarmor status | sed -n 1p"

step "root is refused"
refused "curl --version"
refused "cat /srv/secret/code"
refused "cp /usr/bin/true /srv/secret/trojan"

step "So is a user, also through a link"
ln -s /usr/bin/curl /tmp/not-curl
refused "runuser -u user -- /usr/bin/curl --version"
refused "runuser -u user -- /tmp/not-curl --version"

step "Everything else works"
works "wc -c </usr/bin/curl"
works "runuser -u user -- id -un"

step "The decision explains itself in the journal"
eventually "no record of a refused curl in the journal" 'journalctl -q HOSTARMOR_POLICY=demo HOSTARMOR_RULE=demo/process.no-curl | grep -q .'
works "journalctl -q -t hostarmor -n 1 --no-pager"
works "journalctl -q HOSTARMOR_RULE=demo/process.no-curl -n 1 -o verbose --no-pager | grep -oE 'HOSTARMOR_[A-Z_]*=.*' | sort"

step "hostarmor status"
works "hostarmor status"

step "Edit the file: the rule is lifted while everything runs on"
works "sed -i '/^\[process.no-curl\]/,/^\$/d' $policy"
eventually "curl is still refused a minute after the edit" 'curl --version'
works "cat $policy"
works "curl --version | cut -d' ' -f-3 | sed -n 1p"
refused "cat /srv/secret/code"

