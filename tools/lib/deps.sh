# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# Packages by purpose. deps PURPOSE... installs what is missing and touches apt only then, so on a
# machine that has everything it costs one dpkg-query and needs no network. Sourced after common.sh.

declare -A PACKAGES=(
	[build]="gcc clang pkg-config meson ninja-build libsystemd-dev libevent-dev
		libbluetooth-dev libjson-c-dev libinih-dev nettle-dev libcmocka-dev systemd
		libclang-rt-14-dev"
	[unit]="dbus python3 python3-dbus-fast tshark"
	[guest]="qemu-system-x86 seabios busybox-static cpio kmod zstd xz-utils util-linux perl-base
		systemd dbus bluez bluez-test-tools rfkill iproute2 procps python3"
	[interop]="bluez bluez-test-tools python3 python3-dbus python3-gi python3-bleak nodejs npm"
	[capture]="tshark"
	[fuzz]="clang libclang-rt-14-dev"
	[bench]="gcc python3"
	[lint]="shellcheck clang-format"
)

missing_packages()
{
	local installed p
	# shellcheck disable=SC2086,SC2048
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $* 2>/dev/null) || true
	# shellcheck disable=SC2048
	for p in $*; do
		[[ $'\n'$installed$'\n' == *$'\n'"$p installed"$'\n'* ]] || echo "$p"
	done
}

# Runs apt-get and speaks up only when it fails; the whole story is in the log.
apt()
{
	local log=$CACHE/apt.log
	if ! DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=900 \
		-o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@" </dev/null &>"$log"; then
		note "apt-get $* failed (whole log: $log)"
		tail -n 20 "$log" >&2
		return 1
	fi
}

# Lists that are a day old may name packages which the mirror has replaced since.
apt_lists_fresh()
{
	[[ -n $(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null) ]]
}

apt_update()
{
	apt update || { sleep 5; apt update; }
}

install_packages()
{
	local want
	mapfile -t want < <(missing_packages "$@")
	((${#want[@]})) || return 0
	note "installing ${want[*]}"
	apt_lists_fresh || apt_update
	apt install -y --no-install-recommends "${want[@]}" && return
	apt_update
	apt install -y --no-install-recommends "${want[@]}"
}

deps()
{
	local purpose names=""
	for purpose in "$@"; do
		names+=" ${PACKAGES[$purpose]}"
	done
	# A newer node from elsewhere brings its own npm and conflicts with Debian's package.
	command -v node >/dev/null && names=${names// nodejs/}
	command -v npm >/dev/null && names=${names// npm/}
	# shellcheck disable=SC2086
	[[ -z $(missing_packages $names) ]] && return
	# shellcheck disable=SC2086
	locked apt install_packages $names
}
