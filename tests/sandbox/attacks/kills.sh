# Everything it can name; a program that ends here has to end alone.
kill -9 @PID@ 2>/dev/null && echo "BREACH killed the judge"
for pid in $(seq 2 50); do [ "$pid" = "$$" ] || kill -STOP "$pid" 2>/dev/null; done
kill -9 $PPID 2>/dev/null
kill -9 -1 2>/dev/null
exit 0
