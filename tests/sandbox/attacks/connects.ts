declare var require: any;
declare var process: any;
const net = require('net');
const done = (how: string) => () => { console.log('BREACH ' + how); process.exit(0) };
const never = () => {};
try { net.connect(@PORT@, '127.0.0.1', done('tcp')).on('error', never) } catch (e) {}
try { net.connect('@UNIX@', done('unix')).on('error', never) } catch (e) {}
try { net.createServer().on('error', never).listen(0, done('listens')) } catch (e) {}
