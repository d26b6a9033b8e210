# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Build folders of the tools: $TOP/build-NAME, made when missing or when their options changed, and
# a staging folder of what is installed. Quiet unless something fails. Sourced after common.sh.

JOBS=$(nproc)

# build_configure DIR OPTION... - CC may be set. A folder of another meson or other options goes.
build_configure()
{
	local dir=$1 stamp
	shift
	stamp=$(printf '%s\n' "${CC:-}" "$(meson --version)" "$@" | sha256sum)
	[[ ! -e $dir/build.ninja || $(cat "$dir/.options" 2>/dev/null) != "$stamp" ]] || return 0
	rm -rf "$dir"
	mkdir -p "${dir%/*}"
	if ! meson setup "$dir" "$TOP" "$@" >"$dir.setup.log" 2>&1; then
		tail -n 30 "$dir.setup.log"
		return 1
	fi
	echo "$stamp" >"$dir/.options"
}

# build_compile DIR [TARGET...]
build_compile()
{
	! ninja -C "$1" -j "$JOBS" "${@:2}" >"$1.build.log" 2>&1 || return 0
	grep -E -A 12 'FAILED|error:|warning:|ERROR' "$1.build.log" | head -n 80 ||
		tail -n 40 "$1.build.log"
	return 1
}

# build_stage DIR STAGE - meson install into the new folder STAGE
build_stage()
{
	rm -rf "$2"
	! DESTDIR=$2 meson install -C "$1" --no-rebuild --quiet >"$1.install.log" 2>&1 || return 0
	tail -n 20 "$1.install.log"
	return 1
}

# build_service STAGE - the daemon as a user would build and install it, in STAGE
build_service()
{
	local dir=$TOP/build-guest/build
	build_configure "$dir" -Dtests=false && build_compile "$dir" && build_stage "$dir" "$1"
}

# build_radio - aioble-radio alone, in the same folder
build_radio()
{
	local dir=$TOP/build-guest/build
	build_configure "$dir" -Dtests=false && build_compile "$dir" tools/aioble-radio/aioble-radio
}
