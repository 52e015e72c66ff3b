# Goes on after its end, out of its session, and waits for the next program's folder.
( trap '' TERM HUP INT; setsid bash -c 'trap "" TERM HUP INT; while :; do echo harm > /tmp/mine; echo harm > mine; done' & ) > /dev/null 2>&1
sleep 0.05
[ -e earlier ] && echo "BREACH files of an earlier program"
echo here > earlier
exit 0
