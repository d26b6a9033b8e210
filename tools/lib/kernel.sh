# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The guest's kernel: Debian's package, downloaded once, unpacked into the cache, never installed
# on the host. What is in the cache is complete: everything is made under a temporary name and
# renamed at the end. Sourced after common.sh and deps.sh; the door is kernel_get().
#
# Not every Debian kernel will do. From 6.1.187 to 6.1.192, closing an L2CAP socket whose link has
# already gone frees an hci_chan twice, whatever the program in user space does.

# kernel_version_broken VERSION - the Debian version of a package whose kernel cannot be used.
kernel_version_broken()
{
	[[ $1 =~ ^6\.1\.([0-9]+)(-|$) ]] && ((BASH_REMATCH[1] >= 187 && BASH_REMATCH[1] <= 192))
}

kernel_refuse_broken()
{
	kernel_version_broken "$2" || return 0
	die "$1 is Linux $2: 6.1.187 to 6.1.192 crash when an L2CAP socket is closed after its link" \
		"has gone; use --kernel 6.12 or --kernel 6.1"
}

apt_version()
{
	apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p'
}

# The newest package of a series that is not broken: of Debian 12's own 6.1, or of its 6.12.
kernel_newest()
{
	local series=${1//./\\.} p
	apt-cache pkgnames "linux-image-$1." |
		grep -E "^linux-image-$series\.([0-9]+\+deb12|0-[0-9]+)-amd64-unsigned\$" | sort -rV |
		while read -r p; do
			kernel_version_broken "$(apt_version "$p")" && continue
			echo "$p"
			break
		done || true
}

# kernel_resolve CHOICE - the package, or nothing when apt does not know it.
kernel_resolve()
{
	local p
	case $1 in
	linux-image-*) p=$1 ;;
	[0-9].[0-9]*.*) p=linux-image-${1%-amd64}-amd64-unsigned ;;
	*) p=$(kernel_newest "$1") ;;
	esac
	[[ -z $p || -z $(apt_version "$p") ]] || echo "$p"
}

# 6.12 comes by Debian's security archive: lists made at installation may lack it.
kernel_look_up()
{
	local p
	p=$(kernel_resolve "${1/default/6.12}")
	if [[ -z $p ]]; then
		locked apt apt_update || true
		p=$(kernel_resolve "${1/default/6.12}")
	fi
	if [[ -z $p && $1 == default ]]; then
		p=$(kernel_resolve 6.1)
		[[ -z $p ]] || note "apt knows no kernel 6.12: taking $p"
	fi
	echo "$p"
}

# The choice is kept beside the kernels and made again when apt has learnt something new.
kernel_choose()
{
	local choice=$CACHE/kernel/$1.choice p=""
	[[ -s $choice ]] && p=$(<"$choice")
	if [[ -z $p || ! -e $CACHE/kernel/$p/complete || /var/lib/apt/lists -nt $choice ]]; then
		p=$(kernel_look_up "$1")
		[[ -n $p ]] || die "apt knows no usable kernel for --kernel $1"
		mkdir -p "$CACHE/kernel"
		echo "$p" >"$choice.$$" && mv "$choice.$$" "$choice"
	fi
	echo "$p"
}

# The image inside a bzImage, unpacked: the emulated machine would need seconds for that.
kernel_unpack()
{
	local sects offset length
	sects=$(od -A n -t u1 -j $((0x1f1)) -N 1 "$1")
	read -r offset length < <(od -A n -t u4 -j $((0x248)) -N 8 "$1")
	tail -c +$(((sects + 1) * 512 + offset + 1)) "$1" | head -c "$length" >"$2.packed"
	case $(od -A n -t x1 -N 4 "$2.packed") in
	*28\ b5\ 2f\ fd) zstd -dcq <"$2.packed" >"$2" 2>/dev/null || [[ -s $2 ]] ;;
	*fd\ 37\ 7a\ 58) xz -dc --single-stream <"$2.packed" >"$2" ;;
	*) return 1 ;;
	esac
	rm -f "$2.packed"
}

kernel_fetch()
{
	local pkg=$1 dir=$CACHE/kernel/$1 tmp deb
	[[ -e $dir/complete ]] && return
	kernel_refuse_broken "$pkg" "$(apt_version "$pkg")"
	# Under the lock: what an interrupted run left
	rm -rf "$CACHE"/kernel/.tmp.*
	note "downloading $pkg (kept in $CACHE/kernel)"
	mkdir -p "$CACHE/kernel"
	tmp=$(mktemp -d "$CACHE/kernel/.tmp.XXXXXX")
	(cd "$tmp" && apt download "$pkg") || { rm -rf "$tmp"; die "cannot download $pkg"; }
	deb=("$tmp"/*.deb)
	dpkg-deb -f "${deb[0]}" Version >"$tmp/debversion"
	dpkg-deb -x "${deb[0]}" "$tmp/img"
	mv "$tmp"/img/lib/modules "$tmp/modules" 2>/dev/null ||
		mv "$tmp"/img/usr/lib/modules "$tmp/modules"
	basename "$tmp"/modules/* >"$tmp/release"
	# modprobe and depmod look below lib/modules
	ln -s . "$tmp/lib"
	depmod -b "$tmp" "$(<"$tmp/release")"
	kernel_unpack "$tmp"/img/boot/vmlinuz-* "$tmp/kernel" ||
		mv "$tmp"/img/boot/vmlinuz-* "$tmp/kernel"
	rm -rf "$tmp/img" "$tmp"/*.deb
	: >"$tmp/complete"
	rm -rf "$dir"
	mv -T "$tmp" "$dir"
}

# Loaded by the initial ram disk in this order. The kernel's Bluetooth wants its ciphers registered
# before it comes; drbg needs hmac and a hash.
GUEST_MODULES=(virtio_pci 9p 9pnet_virtio overlay virtio_rng virtio_console
	sha256_generic sha512_generic hmac ctr ecb cmac drbg algif_hash algif_skcipher
	rfkill bluetooth hci_vhci uhid)

# Dependencies first, each file once. What is built into this kernel has no file.
kernel_module_files()
{
	local m
	for m in "${GUEST_MODULES[@]}"; do
		modprobe -d "$1" -S "$2" --show-depends "$m" 2>/dev/null |
			sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++'
}

# Modules go in uncompressed, so that loading them costs the emulated machine little.
initrd_build()
{
	local dir=$1 init=$2 out=$3 tmp f name
	[[ -e $out ]] && return
	rm -rf "$dir"/.initrd.*
	find "$dir" -name "initrd-*" -mtime +7 -delete
	tmp=$(mktemp -d "$dir/.initrd.XXXXXX")
	mkdir -p "$tmp"/{bin,dev,proc,sys,modules,newroot,lower,upper,layer}
	cp /bin/busybox "$tmp/bin/"
	install -m 755 "$init" "$tmp/init"
	while read -r f; do
		name=${f##*/}
		case $f in
		*.xz) xz -dc "$f" >"$tmp/modules/${name%.xz}" ;;
		*) cp "$f" "$tmp/modules/" ;;
		esac
		echo "${name%.xz}" >>"$tmp/modules/list"
	done < <(kernel_module_files "$dir" "$(<"$dir/release")")
	(cd "$tmp" && find . | cpio -o -H newc --quiet) >"$out.$$"
	mv "$out.$$" "$out"
	rm -rf "$tmp"
}

# kernel_get CHOICE - sets KERNEL_DIR (kernel, modules, release, debversion) and KERNEL_INITRD.
kernel_get()
{
	local pkg init=$TOP/tools/lib/guest-init sum
	[[ $(uname -m) == x86_64 ]] || die "the guest is an x86_64 machine; this is $(uname -m)"
	pkg=$(kernel_choose "$1")
	KERNEL_DIR=$CACHE/kernel/$pkg
	[[ -e $KERNEL_DIR/complete ]] || locked kernel kernel_fetch "$pkg"
	kernel_refuse_broken "$pkg" "$(<"$KERNEL_DIR/debversion")"
	sum=$(cat "$init" "${BASH_SOURCE[0]}" | sha256sum)
	KERNEL_INITRD=$KERNEL_DIR/initrd-${sum:0:12}
	[[ -e $KERNEL_INITRD ]] || locked kernel initrd_build "$KERNEL_DIR" "$init" "$KERNEL_INITRD"
}
