# Reads what is not the program's.
for file in /etc/shadow /etc/passwd /etc/hostname @CANARY@ /proc/1/environ /proc/self/environ \
    /proc/@PID@/environ /proc/@PID@/cmdline /proc/@PID@/mem /root/.bashrc /var/log/dpkg.log; do
  if { read -r line < "$file"; } 2>/dev/null; then echo "BREACH read $file"; fi
done
[ -n "$HARNESS_CANARY" ] && echo "BREACH environment"
ls /home /work /var/log /opt 2>/dev/null | grep -q . && echo "BREACH listed folders"
exit 0
