# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for aioblectl. Asks the daemon only for the connections it has, for a second at most; never scans.

_aioblectl_peers()
{
	timeout 1 aioblectl "${globals[@]}" connections -q 2>/dev/null | cut -f 2
}

_aioblectl_adapters()
{
	timeout 1 aioblectl "${globals[@]}" adapters -q 2>/dev/null | cut -f 1
}

_aioblectl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="status adapters scan connect disconnect connections discover read write notify advertise serve"
	local options="--adapter --address --help --json --no-color --quiet --system --timeout --user --version"
	local formats="hex base64 text raw u8 u16 u24 u32 u64 u16be u32be i8 i16 i32 i64 i16be i32be f32 f64 ieee11073 ieee11073-16"
	local word command="" words="" i
	local -a globals=()

	# Addresses have colons, at which readline would break words: join what belongs together
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n : cur prev
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--user | --system) globals+=("$word") ;;
		--*) ;;
		*) [[ -z $command && " $commands " == *" $word "* ]] && command=$word ;;
		esac
	done
	case $command in
	scan) options+=" --duration --first --until --uuid --name --company --rssi --duplicates --active --passive --interval --window" ;;
	connect) options+=" --type --persistent --wait --mtu --interval --latency --supervision-timeout" ;;
	discover) options+=" --type --read --format" ;;
	read) options+=" --type --format --offset" ;;
	write) options+=" --type --format --response --no-response --long --offset" ;;
	advertise) options+=" --name --uuid --manufacturer --service-data --appearance --tx-power --adv-data --resp-data --limited --non-connectable --interval --keep --count --duration --extended --phy --persistent --stop" ;;
	serve) options+=" --check --retry" ;;
	notify) options+=" --type --format --indicate --notify --count --duration" ;;
	esac
	case $prev in
	--type) words="public random" ;;
	--format) words=$formats ;;
	--duplicates) words="all changed first" ;;
	--phy) words="1M 2M coded" ;;
	-a | --adapter) words=$(_aioblectl_adapters) ;;
	--timeout | --duration | --first | --uuid | --name | --company | --rssi | --interval | --window | --mtu | --latency | \
		--supervision-timeout | --offset | --count | --address | --manufacturer | --service-data | --appearance | --tx-power | --adv-data | --resp-data | \
		--stop) return ;;
	*)
		if [[ $cur == -* ]]; then
			words=$options
		elif [[ -z $command ]]; then
			words=$commands
		elif [[ $command == serve ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			compopt -o filenames 2>/dev/null # quotes names and marks folders
			return
		elif [[ $command != @(status|adapters|connections|scan|advertise) ]]; then
			words=$(_aioblectl_peers)
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}

complete -F _aioblectl aioblectl
