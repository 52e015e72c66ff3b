# Far more than the scratch space holds, in many files.
for number in $(seq 1 40); do head -c 100000000 /dev/zero > "file$number" 2>/dev/null; done
total=$(du -sm . | cut -f1)
[ "$total" -gt 700 ] && echo "BREACH $total MB"
exit 0
