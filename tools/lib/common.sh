# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# What every tool of this folder needs: messages, root, the cache folder, a lock. Source it after
# `set -euo pipefail`; it sets TOOL, TOP and CACHE and starts nothing by itself.

TOOL=${0##*/}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${AIOBLED_CACHE:-${XDG_CACHE_HOME:-/var/cache}/aiobled}

note()
{
	printf '%s: %s\n' "$TOOL" "$*" >&2
}

# Exit status 125 is our own failure everywhere; a command run for somebody keeps its own status.
die()
{
	note "$*"
	exit 125
}

# need_root "$@" - start the calling script again through sudo, with the same arguments.
need_root()
{
	((EUID == 0)) && return
	command -v sudo >/dev/null || die "needs root: run it as root or install sudo"
	exec sudo --preserve-env=XDG_CACHE_HOME,AIOBLED_CACHE,TERM,CC,http_proxy,https_proxy \
		-- "$0" "$@"
}

# give_back PATH... - files written for a person who came through sudo belong to that person.
give_back()
{
	[[ -n ${SUDO_UID:-} ]] || return 0
	chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" -- "$@"
}

# locked NAME COMMAND... - one process at a time may run COMMAND under NAME; the others wait.
locked()
{
	local name=$1 fd status=0
	shift
	mkdir -p "$CACHE"
	exec {fd}>"$CACHE/$name.lock"
	flock "$fd"
	"$@" || status=$?
	exec {fd}>&-
	return $status
}
