# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The node packages of the foreign peers (tests/peers/package-lock.json pins them), installed into the
# cache. Sourced after common.sh and deps.sh.

peers_fetch()
{
	local from=$TOP/tests/peers dir=$1
	[[ ! -e $dir/complete ]] || return 0
	note "installing the peers' node packages (kept in $dir)"
	rm -rf "$dir" "$dir.tmp"
	mkdir -p "$dir.tmp"
	cp "$from"/package*.json "$dir.tmp/"
	(cd "$dir.tmp" && npm ci --no-audit --no-fund --loglevel=error --fetch-retries=1 >&2) || return
	: >"$dir.tmp/complete"
	mv "$dir.tmp" "$dir"
}

# peers_modules - prints the node_modules folder, for NODE_PATH
peers_modules()
{
	local sum
	sum=$(sha256sum <"$TOP/tests/peers/package-lock.json")
	locked peers peers_fetch "$CACHE/peers-${sum:0:12}" && echo "$CACHE/peers-${sum:0:12}/node_modules"
}
