// By every way that node has.
const net = require('net')
const done = (how) => () => { console.log('BREACH ' + how); process.exit(0) }
const never = () => {}
try { net.connect(@PORT@, '127.0.0.1', done('tcp')).on('error', never) } catch {}
try { net.connect('@UNIX@', done('unix')).on('error', never) } catch {}
try { net.connect('\0@ABSTRACT@', done('abstract')).on('error', never) } catch {}
try {
  const server = net.createServer().on('error', never)
  server.listen(0, done('listens'))
} catch {}
try { require('dgram').createSocket('udp4').on('error', never).send('x', @PORT@, '127.0.0.1', (e) => e || done('udp')()) } catch {}
