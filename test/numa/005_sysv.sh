# System V shared memory
. ./lib.sh

placed_right sysv 'shared_memory_type = sysv'
