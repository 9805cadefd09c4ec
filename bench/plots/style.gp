# style.gp: what all plots share; called by the others with their arguments.
#
# Arguments: data, svg, title, x, y, logarithmic axes, height.
set terminal svg size 1000, int(ARG7) dynamic noenhanced font "sans-serif,13" background "white"
set output ARG2
set title ARG3
set xlabel ARG4
set ylabel ARG5
if (strstrt(ARG6, "x") > 0) set logscale x
if (strstrt(ARG6, "y") > 0) set logscale y
set border 3 lc rgb "#606060"
set grid y lc rgb "#d8d8d8" lt 1
set tics nomirror
set linetype 1 lc rgb "#0060ad" lw 2.5 pt 7
set linetype 2 lc rgb "#dd181f" lw 1.5 pt 5
set linetype 3 lc rgb "#2e8b57" lw 1.5 pt 9
set linetype 4 lc rgb "#c77700" lw 1.5 pt 11
set linetype 5 lc rgb "#7b3fa0" lw 1.5 pt 13
set linetype 6 lc rgb "#008b8b" lw 1.5 pt 4
set linetype 7 lc rgb "#8b4513" lw 1.5 pt 6
set linetype 8 lc rgb "#e7298a" lw 1.5 pt 8
set linetype 9 lc rgb "#505050" lw 1.5 pt 10
set linetype 10 lc rgb "#7ea800" lw 1.5 pt 12
set linetype 11 lc rgb "#4b0082" lw 1.5 pt 7 dt 2
set linetype 12 lc rgb "#a52a2a" lw 1.5 pt 5 dt 2
set linetype 13 lc rgb "#20639b" lw 1.5 pt 9 dt 2
set linetype 14 lc rgb "#b8860b" lw 1.5 pt 11 dt 2
set linetype 15 lc rgb "#006400" lw 1.5 pt 13 dt 2
set linetype 16 lc rgb "#999999" lw 1.5 pt 4 dt 2
set linetype cycle 16
set errorbars small
