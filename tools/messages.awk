# messages.awk: what the given C files may say to a user, a line each: condition,
# tab, primary message.  The condition is the SQLSTATE's name for errors, else the
# level; "..." stands for what is filled in.  Internal errors (elog,
# errmsg_internal) are not among them.

# The string that s begins with, adjacent literals put together.
function literal(s,    out, c) {
	while (s ~ /^"/) {
		for (s = substr(s, 2); (c = substr(s, 1, 1)) != "\""; s = substr(s, 2)) {
			if (c == "\\") {
				s = substr(s, 2)
				c = substr(s, 1, 1)
			}
			out = out c
		}
		s = substr(s, 2)
		sub(/^[ \t\n]+/, "", s)
	}
	gsub(/%[-+#0-9.*]*(ll|l|z|h)?[a-zA-Z]/, "...", out)
	gsub(/\.\.\.+/, "...", out)
	return out
}

# s: from behind "ereport(" to the next one.
function report(s,    condition) {
	match(s, /[A-Za-z_0-9]+/)
	condition = tolower(substr(s, RSTART, RLENGTH))
	if (condition !~ /^(error|warning|notice|log|info)$/)
		condition = "info"		# the level is a variable: ANALYZE VERBOSE
	if (match(s, /errcode\([^"]*ERRCODE_[A-Z_0-9]+/)) {
		condition = tolower(substr(s, RSTART, RLENGTH))
		sub(/.*errcode_/, "", condition)
	}
	while (match(s, /errmsg(_plural)?\([^"(]*"/)) {
		s = substr(s, RSTART + RLENGTH - 1)
		print condition "\t" literal(s)
	}
}

function flush(    n, i, piece) {
	n = split(text, piece, /ereport\(/)
	for (i = 2; i <= n; i++)
		report(piece[i])
	text = ""
}

FNR == 1 { flush() }
{ text = text $0 "\n" }
END { flush() }
