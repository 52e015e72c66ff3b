use IO::Socket::INET;
use IO::Socket::UNIX;
print "BREACH tcp\n" if IO::Socket::INET->new(PeerAddr => '127.0.0.1:@PORT@', Timeout => 1);
my $udp = IO::Socket::INET->new(PeerAddr => '127.0.0.1:@PORT@', Proto => 'udp');
print "BREACH udp\n" if $udp && $udp->send('x');
print "BREACH unix\n" if IO::Socket::UNIX->new('@UNIX@');
print "BREACH listens\n" if IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
print "BREACH reads\n" if open my $in, '<', '@CANARY@';
print "BREACH writes\n" if open my $out, '>', '@MINE@';
