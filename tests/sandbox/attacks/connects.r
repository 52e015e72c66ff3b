tries <- function(how, what) {
  reached <- tryCatch({ what; TRUE }, error = function(e) FALSE, warning = function(w) FALSE)
  if (reached) cat("BREACH", how, "\n")
}
tries("tcp", socketConnection("127.0.0.1", @PORT@, timeout = 2))
tries("listens", serverSocket(0L))
tries("reads", readLines("@CANARY@"))
tries("writes", writeLines("x", "@MINE@"))
tries("drops", writeLines("x", "@DROP@/left"))
if (tools::pskill(@PID@, 0)) cat("BREACH signals\n")
if (nzchar(Sys.getenv("HARNESS_CANARY"))) cat("BREACH environment\n")
