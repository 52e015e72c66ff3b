-- There are no sockets in the language itself: files, and programs that have them.
if io.open('@CANARY@') then print('BREACH reads') end
if io.open('@MINE@', 'w') then print('BREACH writes') end
if os.execute("bash -c 'exec 9<> /dev/tcp/127.0.0.1/@PORT@' 2> /dev/null") then print('BREACH tcp') end
