#!/bin/busybox sh
# Process 1 of a lane: makes the system whole, loads KVM, runs the job, says how it ended.
# What it prints is what verdict.rs reads.

export PATH=/bin HOME=/root
umask 022

fail() {
    echo
    echo "PARAVANE-LANE-FAILED $*"
    # The last bytes are still on their way through the serial line.
    busybox sleep 0.3
    busybox poweroff -f
}

busybox mount -t proc proc /proc || fail "cannot mount /proc"
busybox mount -t sysfs sys /sys || fail "cannot mount /sys"
busybox mount -t devtmpfs dev /dev || fail "cannot mount /dev"
# The root is a tmpfs, and so is /tmp, with the files that the job put there. It may take more than
# the half of RAM that is its limit: a hole of a file that is mapped takes a page when it is read.
busybox mount -o remount,size=90% / || fail "cannot give / more room"
busybox chmod 1777 /tmp
busybox mkdir /dev/shm && busybox mount -t tmpfs -o mode=1777 shm /dev/shm
busybox mkdir /dev/pts && busybox mount -t devpts devpts /dev/pts
busybox ip link set lo up

# Only what the job writes belongs on the console from here on.
busybox dmesg -n 1

while read -r module parameters; do
    # shellcheck disable=SC2086 # no parameters are no argument
    busybox insmod "$module" $parameters 2>/lane/error ||
        fail "cannot load $module $parameters: $(busybox cat /lane/error; busybox dmesg | busybox tail -n 1)"
done </lane/modules

[ -c /dev/kvm ] || fail "the KVM modules are loaded, but there is no /dev/kvm"
read -r parameter expected </lane/expected
read -r actual <"$parameter" || fail "there is no $parameter"
[ "$actual" = "$expected" ] || fail "$parameter is $actual, not $expected"

cd /tmp || fail "there is no /tmp"
busybox dmesg -c >/dev/null
echo
echo "PARAVANE-LANE-BEGIN"
# This shell's own remarks, on the signal that ended the job say, are not the job's output.
exec 2>/dev/null
/bin/sh /lane/job </dev/null
code=$?
# The line feed ends a last line that the job left open; verdict.rs takes it away again.
echo
echo "PARAVANE-LANE-END"
busybox dmesg | busybox tail -n 100
echo "PARAVANE-LANE-EXIT $code"
busybox sleep 0.3
busybox poweroff -f
