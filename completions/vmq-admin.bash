# bash completion for vmq-admin
#
# The tool itself knows what may follow: `vmq-admin --complete WORD...` prints
# it. Here its words are put together from what bash makes of the line, which
# splits them at `=` and `:`, and its candidates cut to what bash replaces.

# The words before the cursor, without quotes and backslashes, in `words`; the
# last of them is the one under it. `raw` is what bash takes for that.
_vmq_admin_words() {
	local line=${COMP_LINE:0:COMP_POINT} word i
	words=() raw=
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $line == [[:space:]]* || $i -eq 0 ]]; then
			line=${line#"${line%%[![:space:]]*}"}
			words+=("")
		fi
		word=${word:0:${#line}}
		line=${line:${#word}}
		words[-1]+=$word
		raw=$word
	done
	for i in "${!words[@]}"; do
		word=${words[i]//[\"\'\\]/}
		words[i]=$word
	done
}

_vmq_admin() {
	local words raw candidate typed cut=
	_vmq_admin_words
	typed=${words[-1]}
	# Without a quote bash replaces what is behind the last of these.
	if [[ $raw != [\"\']* && $typed == *[=:]* ]]; then
		cut=${typed%"${typed##*[=:]}"}
	fi
	COMPREPLY=()
	while IFS= read -r candidate; do
		[[ $candidate != *[=.] ]] || compopt -o nospace 2>/dev/null
		candidate=${candidate#"$cut"}
		[[ $raw == [\"\']* ]] || printf -v candidate %q "$candidate"
		COMPREPLY+=("$candidate")
	done < <("${words[0]/#\~/$HOME}" --complete "${words[@]:1}" 2>/dev/null)
}

# Where it has nothing to offer there may be the name of a file.
complete -o default -F _vmq_admin vmq-admin
