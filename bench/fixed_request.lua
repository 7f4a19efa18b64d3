-- For wrk: sends the request whose parts bench/sending.py puts into the environment.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["content-type"] = "application/json"
wrk.headers["x-port-signature"] = os.getenv("BENCH_SIGNATURE")
wrk.headers["x-port-timestamp"] = os.getenv("BENCH_TIMESTAMP")
