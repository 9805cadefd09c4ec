# lines.gp: a line for each variant over a number, with quartiles as error bars.
#
# Arguments: those of style.gp but the height, variants, tics ("label" x, ...).  Data: for each variant a block that begins
# with its name, then x, lower quartile, median, upper quartile.
data = ARG1
n = int(ARG7)
height = n > 20 ? 100 + 22 * n : 540
call ARG0[1:strlen(ARG0) - strlen("lines.gp")]."style.gp" ARG1 ARG2 ARG3 ARG4 ARG5 ARG6 height
set key outside right top vertical maxcols 1 samplen 2 spacing 1.1 Left reverse
eval "set xtics (".ARG8.")"
set autoscale xfix
set autoscale yfix
set offsets graph 0.03, graph 0.03, graph 0.05, graph 0.05
if (strstrt(ARG6, "y") > 0) {
	set ytics 10
	do for [p = -1:9] {
		set ytics add (sprintf("%g", 2 * 10.0 ** p) 2 * 10.0 ** p, sprintf("%g", 5 * 10.0 ** p) 5 * 10.0 ** p)
	}
} else {
	set yrange [0:*]
}
plot for [i = 0:n - 1] data index i using 1:3:2:4 with yerrorlines lt i + 1 title columnheader(1)
