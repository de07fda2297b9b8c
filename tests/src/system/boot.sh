#!/bin/bash
# Boots a system of its own: boot.sh FOLDER CGROUP NOTIFY. Its files are this machine's below an
# overlay, so that nothing here changes; its processes, mounts and control groups are in namespaces.
# FOLDER becomes its memory; CGROUP is an empty control group (v2); systemd tells
# the socket NOTIFY when it is up. Prints the number of its first process.
set -euo pipefail

case $1 in
inside)
    # /proc is still that of outside, where this process has another number than 1.
    read -r number _ </proc/self/stat
    echo "$number"
    # Alone in its group, which becomes the root of those that it sees.
    echo 0 >"$3/cgroup.procs"
    exec unshare --cgroup -- "$0" apart "${@:2}"
    ;;
apart) ;;
*)
    exec unshare --mount --pid --fork --kill-child --uts --ipc -- "$0" inside "$@"
    ;;
esac
folder=$2
notify=$4

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"

mount -t proc proc proc
# What belongs to the host's kernel cannot be changed by this system's services.
mount --bind -o ro proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/net
cp --archive /dev/{null,zero,full,random,urandom,tty} dev
for device in kvm net/tun; do
    [[ ! -e /dev/$device ]] || cp --archive "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
# Where it can be seen what has been changed.
mount --bind "$folder/upper" mnt

# Services are started when they are installed, also where this machine's are not.
rm -f usr/sbin/policy-rc.d
# What a service needs, and nothing that is for a machine: no clocks, consoles and file systems.
cat >etc/systemd/system/test.target <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
UNIT
for unit in systemd-remount-fs.service tmp.mount timers.target; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done

mkdir run/outside
pivot_root . run/outside
umount --lazy /run/outside
exec env --ignore-environment container=paravane-tests "NOTIFY_SOCKET=$notify" \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-sys_boot,-syslog,-mac_admin \
    /lib/systemd/systemd --unit=test.target </dev/null >/dev/null 2>&1
