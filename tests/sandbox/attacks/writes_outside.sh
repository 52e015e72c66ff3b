# Writes where others read.
for file in @DROP@/mine @MINE@ /tmp/../etc/mine /usr/bin/mine /usr/lib/mine /var/tmp/mine /dev/shm/mine /mine; do
  { echo harm > "$file"; } 2>/dev/null && echo "BREACH wrote $file"
done
chmod 777 @MINE@ 2>/dev/null
ln -s @DROP@ there 2>/dev/null; { echo harm > there/mine; } 2>/dev/null && echo "BREACH wrote through a link"
mv @MINE@ @DROP@/moved 2>/dev/null && echo "BREACH moved"
rm -f @MINE@ 2>/dev/null && [ ! -e @MINE@ ] && [ -d @DROP@ ] && echo "BREACH removed"
exit 0
