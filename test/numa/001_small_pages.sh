# Pages of 4 kB
. ./lib.sh

placed_right 'small pages'
