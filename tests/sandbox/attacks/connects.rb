require 'socket'
def tries(how)
  yield
  puts "BREACH #{how}"
rescue SystemCallError, SocketError
end
tries('tcp') { TCPSocket.new('127.0.0.1', @PORT@) }
tries('udp') { UDPSocket.new.send('x', 0, '127.0.0.1', @PORT@) }
tries('unix') { UNIXSocket.new('@UNIX@') }
tries('listens') { TCPServer.new('127.0.0.1', 0) }
tries('reads') { File.read('@CANARY@') }
tries('writes') { File.write('@MINE@', 'x') }
