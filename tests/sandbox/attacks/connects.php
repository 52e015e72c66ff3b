<?php
foreach (['tcp://127.0.0.1:@PORT@', 'udp://127.0.0.1:@PORT@', 'unix://@UNIX@'] as $where) {
    $socket = @stream_socket_client($where, $code, $text, 0.3);
    if ($socket && ($where[0] !== 'u' || $where[1] !== 'd' || @fwrite($socket, 'x'))) echo "BREACH $where\n";
}
if (@stream_socket_server('tcp://127.0.0.1:0')) echo "BREACH listens\n";
if (@file_get_contents('@CANARY@') !== false) echo "BREACH reads\n";
if (@file_put_contents('@MINE@', 'x')) echo "BREACH writes\n";
