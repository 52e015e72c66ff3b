"""What several benchmarks share: EvalPlus inputs, text-to-SQL, tests compiled together with the answer."""
