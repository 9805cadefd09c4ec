# bars.gp: a bar for each variant, with quartiles as error bars.
#
# Arguments: those of style.gp but the height, variants.  Data: a line for each: name, lower quartile, median, upper quartile.
data = ARG1
n = int(ARG7)
height = 110 + 34 * n
call ARG0[1:strlen(ARG0) - strlen("bars.gp")]."style.gp" ARG1 ARG2 ARG3 ARG4 ARG5 ARG6 height
low = 0
if (strstrt(ARG6, "y") > 0) {
	unset logscale y
	stats data using 2 nooutput
	set logscale x
	low = STATS_min / 2
}
unset key
set grid noy
set grid x lc rgb "#d8d8d8" lt 1
set lmargin 48
set yrange [-0.7:n - 0.3] reverse
set style fill solid 0.75 noborder
unset ylabel
set xlabel ARG5
set xrange [low:*]
plot data using 3:0:(low):3:($0 - 0.36):($0 + 0.36):ytic(1) with boxxyerror lt 1, \
	data using 3:0:2:4 with xerrorbars lc rgb "black" lw 1.2 pt 0
