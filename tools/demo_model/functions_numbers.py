"""Short functions on numbers and dictionaries for the demo corpus.

Layout of one kind: a line `name name ... (domain domain) -> type`, docstrings indented by two spaces, the
body by four. `$1` and `$2` stand for the arguments. The examples under a docstring are computed.
Read by `tasks.demo.functions`. Data only.
"""

TABLE = r"""
is_even even_number check_even (n) -> bool
  Return True if $1 is even.
  Check whether the number $1 is even.
    return $1 % 2 == 0

is_odd odd_number check_odd (n) -> bool
  Return True if $1 is odd.
  Check whether the number $1 is odd.
    return $1 % 2 == 1

is_multiple divides divisible_by (n k) -> bool
  Return True if $1 is a multiple of $2.
  Check whether $1 is divisible by $2.
    return $1 % $2 == 0

add add_numbers plus (x x) -> int
  Return the sum of $1 and $2.
  Add two numbers $1 and $2.
    return $1 + $2

subtract minus (x x) -> int
  Return $1 minus $2.
  Subtract $2 from $1.
    return $1 - $2

multiply times product_of (x x) -> int
  Return the product of $1 and $2.
  Multiply two numbers $1 and $2.
    return $1 * $2

double twice times_two (x) -> int
  Return twice the number $1.
  Double the value $1.
    return $1 * 2

triple times_three (x) -> int
  Return three times the number $1.
  Triple the value $1.
    return $1 * 3

square squared (x) -> int
  Return the square of $1.
  Return $1 multiplied by itself.
    return $1 ** 2

cube cubed (x) -> int
  Return the cube of $1.
  Return $1 to the third power.
    return $1 ** 3

power raise_to (x k) -> int
  Return $1 raised to the power $2.
  Compute $1 to the power of $2.
    return $1 ** $2

increment next_number successor (x) -> int
  Return the integer after $1.
  Return $1 plus one.
    return $1 + 1

decrement previous_number predecessor (x) -> int
  Return the integer before $1.
  Return $1 minus one.
    return $1 - 1

negate opposite (x) -> int
  Return $1 with the opposite sign.
  Return the negative of $1.
    return -$1

sign signum (x) -> int
  Return 1 if $1 is positive, -1 if it is negative and 0 if it is zero.
  Return the sign of $1 as -1, 0 or 1.
    if $1 > 0:
        return 1
    if $1 < 0:
        return -1
    return 0

absolute magnitude abs_value (x) -> int
  Return the absolute value of $1.
  Return $1 without its sign.
    return abs($1)

distance abs_diff gap (x x) -> int
  Return the absolute difference between $1 and $2.
  Return how far $1 and $2 are apart.
    return abs($1 - $2)

larger bigger max_of_two (x x) -> int
  Return the larger of $1 and $2.
  Return the maximum of two numbers $1 and $2.
    return max($1, $2)

smaller lesser min_of_two (x x) -> int
  Return the smaller of $1 and $2.
  Return the minimum of two numbers $1 and $2.
    return min($1, $2)

max_of_three largest_of_three (x x x) -> int
  Return the largest of the three numbers $1, $2 and $3.
  Return the maximum of $1, $2 and $3.
    return max($1, $2, $3)

min_of_three smallest_of_three (x x x) -> int
  Return the smallest of the three numbers $1, $2 and $3.
  Return the minimum of $1, $2 and $3.
    return min($1, $2, $3)

middle_of_three median_of_three (x x x) -> int
  Return the middle value of the three numbers $1, $2 and $3.
  Return the median of $1, $2 and $3.
    return sorted([$1, $2, $3])[1]

average_of_two mean_of_two midpoint (x x) -> float
  Return the average of $1 and $2.
  Return the mean of two numbers $1 and $2.
    return ($1 + $2) / 2

same_sign signs_agree (x x) -> bool
  Return True if $1 and $2 are both positive or both negative.
  Check whether $1 and $2 have the same sign.
    return $1 * $2 > 0

is_positive positive (x) -> bool
  Return True if $1 is greater than zero.
  Check whether the number $1 is positive.
    return $1 > 0

is_negative negative (x) -> bool
  Return True if $1 is less than zero.
  Check whether the number $1 is negative.
    return $1 < 0

in_range is_between within (x x x) -> bool
  Return True if $1 is between $2 and $3, both included.
  Check whether $1 lies in the range from $2 to $3.
    return $2 <= $1 <= $3

clamp limit bound (x x x) -> int
  Limit $1 to the range from $2 to $3.
  Return $1, but at least $2 and at most $3.
    return max($2, min($1, $3))

last_digit final_digit ones_digit (n) -> int
  Return the last digit of $1.
  Return the ones digit of the number $1.
    return $1 % 10

first_digit leading_digit (n) -> int
  Return the first digit of $1.
  Return the leading digit of the number $1.
    return int(str($1)[0])

digit_sum sum_digits sum_of_digits (big) -> int
  Return the sum of the digits of $1.
  Add up all digits of the number $1.
    return sum(int(d) for d in str($1))

digit_product multiply_digits (big) -> int
  Return the product of the digits of $1.
  Multiply all digits of the number $1.
    result = 1
    for d in str($1):
        result *= int(d)
    return result

count_digits num_digits number_length (big) -> int
  Return the number of digits of $1.
  Count how many digits the number $1 has.
    return len(str($1))

digits digit_list to_digits (big) -> list[int]
  Return a list of the digits of $1.
  Split the number $1 into its digits.
    return [int(d) for d in str($1)]

reverse_number reverse_digits flip_number (big) -> int
  Return $1 with its digits in reverse order.
  Reverse the digits of the number $1.
    return int(str($1)[::-1])

is_palindrome_number palindromic_number (big) -> bool
  Return True if the number $1 reads the same backwards.
  Check whether the digits of $1 form a palindrome.
    return str($1) == str($1)[::-1]

factorial fact (k) -> int
  Return the factorial of $1.
  Return the product of all integers from 1 to $1.
    result = 1
    for i in range(2, $1 + 1):
        result *= i
    return result

sum_to sum_to_n sum_up_to triangular (n) -> int
  Return the sum of all integers from 1 to $1.
  Sum the numbers 1 to $1.
    return sum(range(1, $1 + 1))

sum_of_squares squares_sum (n) -> int
  Return the sum of the squares of the numbers from 1 to $1.
  Sum the squares 1, 4, 9 and so on up to $1 squared.
    return sum(i ** 2 for i in range(1, $1 + 1))

sum_of_cubes cubes_sum (n) -> int
  Return the sum of the cubes of the numbers from 1 to $1.
  Sum the cubes of the first $1 positive integers.
    return sum(i ** 3 for i in range(1, $1 + 1))

sum_even_to sum_of_evens (n) -> int
  Return the sum of the even numbers from 1 to $1.
  Sum all even numbers up to and including $1.
    return sum(i for i in range(1, $1 + 1) if i % 2 == 0)

count_up numbers_to one_to_n (n) -> list[int]
  Return a list of the numbers from 1 to $1.
  Count from 1 up to $1 and return the numbers as a list.
    return list(range(1, $1 + 1))

countdown count_down (n) -> list[int]
  Return a list of the numbers from $1 down to 1.
  Count down from $1 to 1.
    return list(range($1, 0, -1))

even_numbers evens_to evens_up_to (n) -> list[int]
  Return a list of the even numbers from 1 to $1.
  List all even numbers up to $1.
    return [i for i in range(1, $1 + 1) if i % 2 == 0]

odd_numbers odds_to odds_up_to (n) -> list[int]
  Return a list of the odd numbers from 1 to $1.
  List all odd numbers up to $1.
    return [i for i in range(1, $1 + 1) if i % 2 == 1]

first_squares squares_to list_squares (n) -> list[int]
  Return a list of the squares of the numbers from 1 to $1.
  List the first $1 square numbers.
    return [i ** 2 for i in range(1, $1 + 1)]

powers_of_two two_powers (k) -> list[int]
  Return a list of the first $1 powers of two, starting with 1.
  List the powers 2 ** 0 to 2 ** ($1 - 1).
    return [2 ** i for i in range($1)]

multiples first_multiples (k k) -> list[int]
  Return a list of the first $2 multiples of $1.
  List $2 multiples of $1, starting with $1 itself.
    return [$1 * i for i in range(1, $2 + 1)]

times_table multiplication_table (k) -> list[int]
  Return a list of $1 times 1 to $1 times 10.
  Return the multiplication table of $1 up to ten.
    return [$1 * i for i in range(1, 11)]

divisors factors all_divisors (n) -> list[int]
  Return a list of all divisors of $1.
  List all numbers that divide $1 without remainder.
    return [i for i in range(1, $1 + 1) if $1 % i == 0]

count_divisors num_divisors divisor_count (n) -> int
  Return the number of divisors of $1.
  Count how many numbers divide $1 without remainder.
    return sum(1 for i in range(1, $1 + 1) if $1 % i == 0)

sum_divisors divisor_sum (n) -> int
  Return the sum of all divisors of $1.
  Add up the numbers that divide $1.
    return sum(i for i in range(1, $1 + 1) if $1 % i == 0)

is_perfect perfect_number (n) -> bool
  Return True if $1 is equal to the sum of its divisors less than $1.
  Check whether $1 is a perfect number.
    return sum(i for i in range(1, $1) if $1 % i == 0) == $1

is_prime prime check_prime (n) -> bool
  Return True if $1 is a prime number.
  Check whether $1 is prime.
    if $1 < 2:
        return False
    for i in range(2, $1):
        if $1 % i == 0:
            return False
    return True

primes_up_to list_primes primes (n) -> list[int]
  Return a list of all prime numbers up to $1.
  List the primes that are at most $1.
    result = []
    for i in range(2, $1 + 1):
        if all(i % j != 0 for j in range(2, i)):
            result.append(i)
    return result

prime_factors factorize (n) -> list[int]
  Return a list of the prime factors of $1 in ascending order.
  Split $1 into its prime factors.
    result = []
    d = 2
    while $1 > 1:
        while $1 % d == 0:
            result.append(d)
            $1 //= d
        d += 1
    return result

fibonacci fib nth_fibonacci (k) -> int
  Return the Fibonacci number at position $1, starting with 0 and 1.
  Compute the $1-th Fibonacci number.
    a, b = 0, 1
    for _ in range($1):
        a, b = b, a + b
    return a

fibonacci_list first_fibonacci (k) -> list[int]
  Return a list of the first $1 Fibonacci numbers.
  List $1 numbers of the Fibonacci sequence, starting with 0 and 1.
    result = []
    a, b = 0, 1
    for _ in range($1):
        result.append(a)
        a, b = b, a + b
    return result

gcd greatest_common_divisor common_divisor (n n) -> int
  Return the greatest common divisor of $1 and $2.
  Find the largest number that divides both $1 and $2.
    while $2:
        $1, $2 = $2, $1 % $2
    return $1

lcm least_common_multiple (k k) -> int
  Return the least common multiple of $1 and $2.
  Find the smallest number that is a multiple of both $1 and $2.
    result = $1
    while result % $2 != 0:
        result += $1
    return result

are_coprime coprime (n n) -> bool
  Return True if $1 and $2 have no common divisor except 1.
  Check whether $1 and $2 are coprime.
    while $2:
        $1, $2 = $2, $1 % $2
    return $1 == 1

is_square perfect_square is_perfect_square (n) -> bool
  Return True if $1 is the square of an integer.
  Check whether $1 is a perfect square.
    return int($1 ** 0.5) ** 2 == $1

integer_sqrt floor_sqrt (n) -> int
  Return the largest integer whose square is at most $1.
  Return the square root of $1 rounded down.
    return int($1 ** 0.5)

is_power_of_two power_of_two (n) -> bool
  Return True if $1 is a power of two.
  Check whether $1 can be written as 2 to some power.
    while $1 % 2 == 0:
        $1 //= 2
    return $1 == 1

collatz_steps collatz_length (n) -> int
  Return how many Collatz steps lead from $1 to 1: halve an even number, replace an odd n by 3 * n + 1.
  Count the steps of the Collatz sequence from $1 to 1.
    steps = 0
    while $1 != 1:
        $1 = $1 // 2 if $1 % 2 == 0 else 3 * $1 + 1
        steps += 1
    return steps

to_binary binary binary_string (n) -> str
  Return $1 as a binary string without prefix.
  Convert the integer $1 to base 2.
    return bin($1)[2:]

to_hex hex_string (n) -> str
  Return $1 as a hexadecimal string without prefix.
  Convert the integer $1 to base 16.
    return hex($1)[2:]

count_ones count_bits bit_count (n) -> int
  Return the number of ones in the binary form of $1.
  Count the one bits of the integer $1.
    return bin($1).count('1')

quotient_and_remainder divide_with_remainder (n k) -> tuple[int, int]
  Return the quotient and the remainder of $1 divided by $2.
  Divide $1 by $2 and return a tuple of quotient and remainder.
    return ($1 // $2, $1 % $2)

fizzbuzz fizz_buzz (n) -> str
  Return 'FizzBuzz' if $1 is divisible by 15, 'Fizz' if by 3, 'Buzz' if by 5, else $1 as a string.
  Play fizz buzz for the number $1.
    if $1 % 15 == 0:
        return 'FizzBuzz'
    if $1 % 3 == 0:
        return 'Fizz'
    if $1 % 5 == 0:
        return 'Buzz'
    return str($1)

parity even_or_odd (n) -> str
  Return 'even' if $1 is even and 'odd' otherwise.
  Say whether $1 is even or odd.
    return 'even' if $1 % 2 == 0 else 'odd'

is_leap_year leap_year (year) -> bool
  Return True if $1 is a leap year.
  Check whether the year $1 has 366 days.
    return $1 % 4 == 0 and ($1 % 100 != 0 or $1 % 400 == 0)

celsius_to_fahrenheit to_fahrenheit (x) -> float
  Convert the temperature $1 from Celsius to Fahrenheit.
  Return $1 degrees Celsius in Fahrenheit.
    return $1 * 9 / 5 + 32

fahrenheit_to_celsius to_celsius (x) -> float
  Convert the temperature $1 from Fahrenheit to Celsius.
  Return $1 degrees Fahrenheit in Celsius.
    return ($1 - 32) * 5 / 9

minutes_to_seconds to_seconds (n) -> int
  Return the number of seconds in $1 minutes.
  Convert $1 minutes to seconds.
    return $1 * 60

hours_to_minutes to_minutes (n) -> int
  Return the number of minutes in $1 hours.
  Convert $1 hours to minutes.
    return $1 * 60

days_to_hours to_hours (n) -> int
  Return the number of hours in $1 days.
  Convert $1 days to hours.
    return $1 * 24

format_time clock_time (n n) -> str
  Return the time of $1 hours and $2 minutes in the form HH:MM.
  Format $1 hours and $2 minutes with two digits each and a colon between.
    return f'{$1:02d}:{$2:02d}'

rectangle_area area_of_rectangle area (n n) -> int
  Return the area of a rectangle with sides $1 and $2.
  Compute the area of a rectangle of width $1 and height $2.
    return $1 * $2

rectangle_perimeter perimeter (n n) -> int
  Return the perimeter of a rectangle with sides $1 and $2.
  Compute the length around a rectangle of width $1 and height $2.
    return 2 * ($1 + $2)

triangle_area area_of_triangle (n n) -> float
  Return the area of a triangle with base $1 and height $2.
  Compute the area of a triangle from its base $1 and its height $2.
    return $1 * $2 / 2

box_volume volume (n n k) -> int
  Return the volume of a box with sides $1, $2 and $3.
  Compute the volume of a box of length $1, width $2 and height $3.
    return $1 * $2 * $3

hypotenuse long_side (n n) -> float
  Return the length of the hypotenuse of a right triangle with legs $1 and $2.
  Compute the longest side of a right triangle with short sides $1 and $2.
    return ($1 ** 2 + $2 ** 2) ** 0.5

is_triangle valid_triangle (n n n) -> bool
  Return True if sides of length $1, $2 and $3 can form a triangle.
  Check whether a triangle with sides $1, $2 and $3 exists.
    return $1 + $2 > $3 and $1 + $3 > $2 and $2 + $3 > $1

percentage percent_of (n n) -> float
  Return how many percent $1 is of $2.
  Return $1 as a percentage of $2.
    return 100 * $1 / $2

discount reduced_price (n k) -> float
  Return the price $1 reduced by $2 percent.
  Take $2 percent off the price $1.
    return $1 * (100 - $2) / 100

fraction_part decimal_part (num) -> float
  Return the decimal part of the number $1.
  Return what is left of $1 after the integer part is taken away.
    return $1 - int($1)

close_enough nearly_equal (num num num) -> bool
  Return True if $1 and $2 differ by less than $3.
  Check whether the distance between $1 and $2 is smaller than $3.
    return abs($1 - $2) < $3

total_value sum_values (counts) -> int
  Return the sum of all values in $1.
  Add up the values of the dictionary $1.
    return sum($1.values())

key_of_max best_key top_scorer (counts) -> str
  Return the key with the largest value in $1.
  Find the key of $1 that has the highest value.
    return max($1, key=$1.get)

key_of_min worst_key (counts) -> str
  Return the key with the smallest value in $1.
  Find the key of $1 that has the lowest value.
    return min($1, key=$1.get)

sorted_keys keys_in_order (counts) -> list[str]
  Return the keys of $1 in sorted order.
  List the keys of the dictionary $1 alphabetically.
    return sorted($1)

keys_by_value rank_keys (counts) -> list[str]
  Return the keys of $1 sorted by their values.
  List the keys of the dictionary $1 from lowest to highest value.
    return sorted($1, key=$1.get)

lookup get_or_default value_or (counts word k) -> int
  Return the value of $2 in $1, or $3 if there is none.
  Look up $2 in the dictionary $1 with default $3.
    return $1.get($2, $3)

has_key contains_key (counts word) -> bool
  Return True if $2 is a key of $1.
  Check whether the dictionary $1 has the key $2.
    return $2 in $1

filter_values keep_above (counts k) -> dict[str, int]
  Return the items of $1 whose value is greater than $2.
  Keep only entries of the dictionary $1 with a value greater than $2.
    return {k: v for k, v in $1.items() if v > $2}

keys_above names_above (counts k) -> list[str]
  Return a list of the keys of $1 whose value is greater than $2.
  List the keys of the dictionary $1 with values above $2.
    return [k for k, v in $1.items() if v > $2]

invert_dict swap_keys_values (counts) -> dict[int, str]
  Return a dictionary that maps the values of $1 to its keys.
  Swap keys and values of $1.
    return {v: k for k, v in $1.items()}

double_values scale_twice (counts) -> dict[str, int]
  Return a copy of $1 with every value doubled.
  Multiply all values of the dictionary $1 by two.
    return {k: v * 2 for k, v in $1.items()}

merge_dicts combine_dicts (counts counts) -> dict[str, int]
  Return a dictionary with the items of $1 and $2; those of $2 win.
  Merge the dictionaries $1 and $2 into a new one.
    return {**$1, **$2}

add_counts sum_dicts merge_counts (counts counts) -> dict[str, int]
  Return a dictionary that adds up the values of $1 and $2 key by key.
  Merge $1 and $2 and sum the values of common keys.
    result = dict($1)
    for k, v in $2.items():
        result[k] = result.get(k, 0) + v
    return result
"""
