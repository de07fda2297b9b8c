#!/bin/bash
# Runs `paravane bench --instructions` with the given arguments on stock kvm_amd in QEMU, where the
# TSC counts instructions, and prints what it prints. Needs `cargo build --release` and, on Debian 12,
# `.ci/setup`.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
root=$work/root
modules=$(echo target/lane-root/lib/modules/*/kernel)
mkdir -p "$root"/{bin,dev,proc,sys}
cp /bin/busybox target/release/paravane "$root/bin"
cp docs/figures/peers.json "$root"
cp "$modules"/virt/lib/irqbypass.ko "$modules"/arch/x86/kvm/{kvm,kvm-amd}.ko "$root"
ldd target/release/paravane | grep -o '/[^ ]*' | xargs cp --parents -t "$root"
cat >"$root/init" <<EOF
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
for module in irqbypass kvm kvm-amd; do busybox insmod /\$module.ko; done
busybox stty -F /dev/ttyS0 raw 115200
paravane bench --instructions ${*@Q} 2>/result.err | busybox cat >/dev/ttyS0
busybox cat /result.err >/dev/ttyS1
# The last bytes are still on their way through the serial line.
busybox sleep 1
busybox poweroff -f
EOF
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip) >"$work/initramfs.gz"

# The first serial line has the result; the second one, the kernel's console, what went wrong.
qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -seed 1 -cpu max -m 1024 \
    -kernel target/lane-root/boot/vmlinuz-* -initrd "$work/initramfs.gz" \
    -append 'console=ttyS1 quiet tsc=reliable' \
    -display none -nic none -no-reboot -serial stdio -serial "file:$work/console" </dev/null
grep -v 'reboot: Power down' "$work/console" >&2 || true
