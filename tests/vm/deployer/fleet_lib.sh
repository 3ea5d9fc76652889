# What the tests on several hosts share; sourced. Wants: STEMMA HELPER SUPPORT LAB-FLEET as $1 … $4.
set -euo pipefail

stemma=$(realpath "$1") helper=$(realpath "$2") support=$(realpath "$3") lab=$(realpath "$4")
if [ "$(id -u)" != 0 ] || ! command -v libvirtd qemu-system-x86_64 busybox ip openssl >/dev/null; then
    echo "[stemma-skip] needs root, libvirtd, qemu-system-x86_64, busybox, iproute2 and openssl"
    exit 0
fi
# Short: sockets lie below it.
work=$(mktemp -d /tmp/sf.XXXX)
fleet=$work/f
clear_up() { :; } # what a test has beside its fleet
finish() {
    local status=$?
    set +e # all of it has to be tried
    clear_up
    [ $status = 0 ] || { echo "--- last output"; tail -40 "$work/out" 2>/dev/null; tail -3 "$fleet"/h*/log/*.out 2>/dev/null; }
    "$lab" down "$fleet" || true
    rm -rf "$work"
    exit $status
}
trap finish EXIT

fact() { echo "ok: $*"; }
broken() { echo "BROKEN: $*"; exit 1; }
# run WANTED_STATUS COMMAND…: output in $work/out
run() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>&1 || status=$?
    [ $status = "$wanted" ] || broken "exit $status instead of $wanted: $*"
}
says() { grep -qF -- "$1" "$work/out" || broken "no \"$1\" in the output"; }
silent_about() { ! grep -qF -- "$1" "$work/out" || broken "\"$1\" in the output"; }
uri() { "$lab" uri "$fleet" "$@"; }
on() { local host=$1; shift; timeout 60 virsh -q -c "$(uri "$host" unix)" "$@"; }
running_on() { on "$1" list --name | grep -xcF "$2" || true; }
# Writing calls that a host's libvirt saw so far, by its own log of its API.
writing_calls() {
    grep -hoE '(virDomain(Create|Define|Destroy|Shutdown|Undefine|Suspend|Resume|Reboot|Reset|Migrate|Attach|Detach|Update|Set|Block(Commit|Copy|Pull|Resize))|virStorage(Vol(Create|Delete|Upload|Resize|Wipe)|Pool(Define|Create|Build|Delete|Undefine|SetAutostart)))[A-Za-z0-9]*:[0-9]+ ' \
        "$fleet/$1"/log/calls.log | wc -l
}
# What the lineage says of a VM: "host state".
recorded() {
    "$stemma" vm list --json | python3 -c '
import json, sys
for vm in json.load(sys.stdin)["items"]:
    if vm["name"] == sys.argv[1]: print(vm["host"], vm["state"])' "$1"
}

export STEMMA_STORE=$work/store/lineage.db
mkdir "$work/store"
cd "$work"

# write_release FILE IMAGE MOTD COUNT [MORE LINES OF EACH VM]
write_release() {
    cat >"$1" <<END
version: 1
release: tiny
defaults:
  image: $2
  memory_mib: 96
  network: none
  boot:
    kernel: one/kernel
    initrd: one/initrd
    cmdline: console=ttyS0 quiet mitigations=off no_timer_check cryptomgr.notests panic=-1
  data_disks: [{name: kept, size_mib: 8}]
vms:
  - {name: "tiny-{1..$4}", ${5:-hosts: {zone: a\}}}
verify:
  files: [{path: /etc/motd, sha256: "$(printf '%s\n' "$3" | sha256sum | cut -d' ' -f1)"}]
rollout: {canary: 1, boot_timeout_s: 180, check_timeout_s: 30, stop_timeout_s: 2}
END
}
# image NAME FOLDER MOTD: a tiny image, imported
image() {
    TINY_MOTD="$3" "$support/tiny-image" "$2" "$helper"
    run 0 "$stemma" image import "$1" "$2/tiny.qcow2"
}
