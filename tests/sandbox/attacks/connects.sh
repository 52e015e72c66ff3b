# To a server of the machine that does listen.
{ exec 9<> /dev/tcp/127.0.0.1/@PORT@; } 2>/dev/null && echo "BREACH tcp"
{ exec 9<> /dev/udp/127.0.0.1/@PORT@; } 2>/dev/null && echo "BREACH udp"
exit 0
