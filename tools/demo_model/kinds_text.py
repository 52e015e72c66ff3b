"""One-line operations on strings, regular expressions, formatting and numbers: code, then ways to ask for it.

Read by `tasks.demo.corpus`; slots are explained in `tasks.demo.slots`. Data only.
"""

TABLE = r"""
<str>.upper()
  convert string `<str>` to upper case
  make all letters of `<str>` capital
  uppercase the string `<str>`

<str>.lower()
  convert string `<str>` to lower case
  make all letters of `<str>` small
  lowercase the string `<str>`

<str>.title()
  capitalize each word of string `<str>`
  convert `<str>` to title case
  make the first letter of every word in `<str>` upper case

<str>.capitalize()
  capitalize the first letter of string `<str>`
  make the first character of `<str>` upper case and the rest lower case
  start string `<str>` with a capital letter

<str>.swapcase()
  swap upper and lower case letters in string `<str>`
  invert the case of `<str>`
  turn small letters of `<str>` into capitals and the other way round

<str>.strip()
  remove whitespace from both ends of string `<str>`
  strip leading and trailing spaces of `<str>`
  trim string `<str>`

<str>.lstrip()
  remove leading whitespace from string `<str>`
  strip spaces at the start of `<str>`
  trim the left side of string `<str>`

<str>.rstrip()
  remove trailing whitespace from string `<str>`
  strip spaces at the end of `<str>`
  trim the right side of string `<str>`

<str>.rstrip('\n')
  remove the trailing newline from string `<str>`
  strip the line break at the end of `<str>`
  drop newline characters at the end of string `<str>`

<str>.strip(<char>)
  remove the character <char> from both ends of string `<str>`
  strip leading and trailing <char> of `<str>`
  trim all <char> at the start and end of string `<str>`

<str>[::-1]
  reverse string `<str>`
  get the characters of string `<str>` in reverse order
  spell string `<str>` backwards

<str> == <str>[::-1]
  check if string `<str>` is a palindrome
  test whether string `<str>` reads the same backwards
  see if string `<str>` equals its reverse

len(<str>)
  get the number of characters in string `<str>`
  get the length of string `<str>`
  how long is string `<str>`

<str>.split()
  split string `<str>` on whitespace
  get a list of the words in string `<str>`
  break string `<str>` into words

<str>.split(<sep>)
  split string `<str>` on <sep>
  break string `<str>` into parts separated by <sep>
  get a list of the fields of `<str>` delimited by <sep>

<str>.split(<sep>)[-1]
  get the last part of string `<str>` split on <sep>
  get what comes after the last <sep> in `<str>`
  final field of `<str>` delimited by <sep>

<str>.split(<sep>)[0]
  get the part of string `<str>` before the first <sep>
  first field of `<str>` delimited by <sep>
  split `<str>` on <sep> and take the first part

<str>.split(<sep>, 1)
  split string `<str>` on the first <sep> only
  split `<str>` at most once on <sep>
  break string `<str>` into two parts at the first <sep>

<str>.rsplit(<sep>, 1)
  split string `<str>` on the last <sep> only
  split `<str>` once on <sep> from the right
  break string `<str>` into two parts at the last <sep>

<str>.splitlines()
  split string `<str>` into lines
  get a list of the lines in string `<str>`
  break `<str>` at line breaks

len(<str>.split())
  count the words in string `<str>`
  get the number of words of `<str>`
  how many words does string `<str>` have

len(<str>.splitlines())
  count the lines in string `<str>`
  get the number of lines of `<str>`
  how many lines does string `<str>` have

list(<str>)
  convert string `<str>` to a list of characters
  split string `<str>` into its characters
  get the letters of string `<str>` as a list

set(<str>)
  get the set of characters in string `<str>`
  which different characters are in string `<str>`
  unique letters of string `<str>` as a set

sorted(<str>)
  get a sorted list of the characters in string `<str>`
  sort the letters of string `<str>` into a list
  order the characters of string `<str>`

''.join(sorted(<str>))
  sort the characters of string `<str>` into a new string
  put the letters of string `<str>` in alphabetical order
  get string `<str>` with its characters sorted

' '.join(<str>.split())
  collapse repeated whitespace in string `<str>` to single spaces
  replace runs of spaces in `<str>` by one space
  normalize the whitespace of string `<str>`

' '.join(<str>.split()[::-1])
  reverse the order of the words in string `<str>`
  get the words of string `<str>` backwards as a string
  put the words in `<str>` in reverse order

<str>.replace(<word1>, <word2>)
  replace <word1> with <word2> in string `<str>`
  substitute every <word1> in `<str>` by <word2>
  swap all occurrences of <word1> in string `<str>` for <word2>

<str>.replace(<word1>, <word2>, 1)
  replace the first <word1> with <word2> in string `<str>`
  substitute only the first occurrence of <word1> in `<str>` by <word2>
  change one <word1> to <word2> in string `<str>`

<str>.replace(<char>, '')
  remove all <char> characters from string `<str>`
  delete every <char> in `<str>`
  get string `<str>` without the letter <char>

<str>.replace(' ', '')
  remove all spaces from string `<str>`
  delete every space in `<str>`
  get string `<str>` without blanks

<str>.replace(' ', '_')
  replace spaces with underscores in string `<str>`
  substitute each blank in `<str>` by an underscore
  turn the spaces of string `<str>` into underscores

<str>.count(<char>)
  count the letter <char> in string `<str>`
  get the number of times character <char> occurs in `<str>`
  how often is <char> in string `<str>`

<str>.count(<word>)
  count the occurrences of substring <word> in string `<str>`
  get the number of times <word> appears in string `<str>`
  how many times does string `<str>` contain <word>

<str>.find(<word>)
  get the index of substring <word> in string `<str>`, -1 if missing
  find where <word> starts in string `<str>`
  position of <word> in string `<str>` or -1

<str>.rfind(<char>)
  get the last index of character <char> in string `<str>`
  find where <char> occurs last in string `<str>`
  position of the last <char> in `<str>` or -1

<str>.startswith(<word>)
  check if string `<str>` starts with <word>
  test whether string `<str>` begins with the prefix <word>
  see if <word> is at the beginning of string `<str>`

<str>.endswith(<ext>)
  check if string `<str>` ends with <ext>
  test whether string `<str>` has the suffix <ext>
  see if <ext> is at the end of string `<str>`

<word> in <str>
  check if string `<str>` contains <word>
  test whether substring <word> is in string `<str>`
  see if <word> is part of string `<str>`

<word> in <str>.lower()
  check if string `<str>` contains <word> ignoring case
  case insensitive test whether <word> is in string `<str>`
  see if <word> is part of `<str>` regardless of case

<str>.isdigit()
  check if string `<str>` consists of digits only
  test whether all characters of `<str>` are digits
  see if string `<str>` is a whole number without sign

<str>.isalpha()
  check if string `<str>` consists of letters only
  test whether all characters of `<str>` are alphabetic
  see if string `<str>` has nothing but letters

<str>.isupper()
  check if string `<str>` is all upper case
  test whether the letters of `<str>` are all capitals
  see if string `<str>` is written in capitals

any(c.isdigit() for c in <str>)
  check if string `<str>` contains a digit
  test whether there is any number character in `<str>`
  see if at least one character of `<str>` is a digit

''.join(c for c in <str> if c.isdigit())
  keep only the digits of string `<str>`
  remove everything but digits from `<str>`
  extract the digits in string `<str>` as a string

''.join(c for c in <str> if c.isalpha())
  keep only the letters of string `<str>`
  remove everything but letters from `<str>`
  extract the alphabetic characters in string `<str>` as a string

''.join(c for c in <str> if c not in 'aeiou')
  remove all vowels from string `<str>`
  get string `<str>` without vowels
  keep only characters of `<str>` that are no vowels

sum(1 for c in <str> if c in 'aeiou')
  count the vowels in string `<str>`
  get the number of vowels of string `<str>`
  how many vowels does `<str>` have

sum(1 for c in <str> if c.isupper())
  count the upper case letters in string `<str>`
  get the number of capital letters in string `<str>`
  how many capitals does `<str>` have

sum(int(c) for c in <str>)
  sum the digits in string `<str>`
  add up the digits of the numeric string `<str>`
  get the digit sum of string `<str>`

<sep>.join(<list>)
  join the strings in list `<list>` with <sep>
  concatenate list `<list>` into a string separated by <sep>
  make one string from `<list>` with <sep> between the elements

''.join(<list>)
  join the strings in list `<list>` without separator
  concatenate all strings of list `<list>`
  make one string out of list of characters `<list>`

'\n'.join(<list>)
  join the strings in list `<list>` with newlines
  make a string with one element of `<list>` per line
  concatenate list `<list>` with line breaks

<sep>.join(str(x) for x in <list>)
  join the numbers in list `<list>` with <sep>
  make a string of the integers in `<list>` separated by <sep>
  concatenate list of ints `<list>` into a string with <sep> between

<str>[<small>:]
  get string `<str>` without its first <small> characters
  drop the first <small> characters of string `<str>`
  substring of `<str>` from index <small> to the end

<str>[:<small>]
  get the first <small> characters of string `<str>`
  truncate string `<str>` to <small> characters
  substring of `<str>` up to index <small>

<str>[-<small>:]
  get the last <small> characters of string `<str>`
  take the final <small> characters of string `<str>`
  substring of the <small> characters at the end of `<str>`

<str>[:-1]
  remove the last character of string `<str>`
  get string `<str>` without its final character
  drop the final character of string `<str>`

<str>.zfill(<small>)
  pad string `<str>` with zeros on the left to width <small>
  fill string `<str>` with leading zeros up to <small> characters
  add leading zeros to `<str>` until it is <small> long

<str>.ljust(<int>)
  pad string `<str>` with spaces on the right to width <int>
  left align string `<str>` in <int> characters
  fill up string `<str>` with trailing blanks to length <int>

<str>.center(<int>)
  center string `<str>` in a field of width <int>
  pad `<str>` with spaces on both sides to <int> characters
  put string `<str>` in the middle of <int> columns

<str> * <small>
  repeat string `<str>` <small> times
  get <small> copies of string `<str>` in a row
  concatenate string `<str>` with itself <small> times

<str1> + <str2>
  concatenate strings `<str1>` and `<str2>`
  append string `<str2>` to string `<str1>`
  get string `<str1>` followed by string `<str2>`

<str>.encode('utf-8')
  encode string `<str>` as utf-8 bytes
  convert string `<str>` to bytes
  get the utf-8 encoding of string `<str>`

<str>.decode('utf-8')
  decode bytes `<str>` as utf-8
  convert bytes `<str>` to a string
  get a string from the utf-8 bytes `<str>`

int(<str>)
  convert string `<str>` to an integer
  parse string `<str>` as an int
  get the integer value of string `<str>`

int(<str>, 2)
  convert binary string `<str>` to an integer
  parse `<str>` as a base 2 number
  get the integer value of the bits in string `<str>`

int(<str>, 16)
  convert hexadecimal string `<str>` to an integer
  parse `<str>` as a base 16 number
  get the integer value of hex string `<str>`

float(<str>)
  convert string `<str>` to a float
  parse string `<str>` as a floating point number
  get the float value of string `<str>`

ord(<char>)
  get the character code of <char>
  convert character <char> to its integer code
  get the unicode number of letter <char>

chr(<int>)
  get the character with code <int>
  convert integer <int> to a character
  get the letter with unicode number <int>

'%s is %d' % (<str>, <num>)
  format string `<str>` and integer `<num>` as 'X is N' with the percent operator
  use percent formatting to write '`<str>` is `<num>`'
  build 'X is N' from `<str>` and `<num>` with `%`

f'{<str>}: {<num>}'
  format `<str>` and `<num>` as 'name: value' with an f-string
  write `<str>`, a colon and `<num>` using an f-string
  f-string with `<str>` and `<num>` separated by a colon and a space

'{} {}'.format(<str1>, <str2>)
  format `<str1>` and `<str2>` separated by a space with `format`
  use `str.format` to put `<str1>` and `<str2>` side by side
  put strings `<str1>` and `<str2>` in one string using `format`

f'{<num>:.2f}'
  format number `<num>` with two decimals
  get a string of `<num>` with 2 digits after the decimal point
  write float `<num>` to two decimal places as a string

f'{<num>:,}'
  format number `<num>` with commas as thousands separators
  get a string of `<num>` with a comma every three digits
  write `<num>` with thousands separators

f'{<num>:0<small>d}'
  format integer `<num>` with leading zeros to width <small>
  write `<num>` zero padded to <small> digits
  get a string of integer `<num>` that is <small> digits wide with leading zeros

re.findall(r'\d+', <str>)
  find all numbers in string `<str>`
  extract every run of digits in `<str>` with a regular expression
  get a list of the integers in string `<str>` as strings

re.findall(r'\w+', <str>)
  find all words in string `<str>` with a regular expression
  extract every run of word characters in `<str>`
  get a list of the words in string `<str>` using regex

re.sub(r'\s+', ' ', <str>)
  replace each run of whitespace in `<str>` by a space with a regular expression
  collapse whitespace in string `<str>` using regex
  use `re.sub` to squeeze the spaces of `<str>`

re.sub(r'\d', '', <str>)
  remove all digits from string `<str>` with a regular expression
  delete every digit in `<str>` using regex
  strip the numbers out of string `<str>` with `re.sub`

re.sub(r'[^a-z]', '', <str>)
  remove everything but lower case letters from `<str>` with a regular expression
  delete all characters of `<str>` that are not a to z using regex
  keep only letters a to z of `<str>` with `re.sub`

re.sub(<word1>, <word2>, <str>)
  replace matches of pattern <word1> by <word2> in string `<str>`
  substitute regex <word1> in `<str>` with <word2>
  use a regular expression to change <word1> to <word2> in `<str>`

re.split(r'[,;]', <str>)
  split string `<str>` on commas or semicolons
  break `<str>` at each comma and semicolon with a regular expression
  get the parts of `<str>` separated by ',' or ';'

re.search(<word>, <str>)
  search string `<str>` for pattern <word>
  find the first match of regex <word> in `<str>`
  look for regular expression <word> anywhere in string `<str>`

re.match(<word>, <str>)
  match pattern <word> at the beginning of string `<str>`
  match regex <word> against the start of `<str>`
  try regular expression <word> at the start of string `<str>`

<match>.group(<small>)
  get group <small> of regex match `<match>`
  return the text of capture group <small> in `<match>`
  what did group <small> of match object `<match>` capture

re.compile(<word>, re.IGNORECASE)
  compile pattern <word> ignoring case
  make a case insensitive regular expression from <word>
  compile a regex <word> that does not care about case

round(<num>, <small>)
  round number `<num>` to <small> decimals
  round `<num>` to <small> digits after the decimal point
  get `<num>` rounded to <small> decimal places

round(<num>)
  round number `<num>` to the nearest integer
  get the whole number closest to `<num>`
  round float `<num>` to an int

abs(<num>)
  get the absolute value of `<num>`
  remove the sign of number `<num>`
  distance of `<num>` from zero

abs(<num1> - <num2>)
  get the absolute difference of `<num1>` and `<num2>`
  how far apart are the numbers `<num1>` and `<num2>`
  distance between `<num1>` and `<num2>`

<num> % 2 == 0
  check if number `<num>` is even
  test whether `<num>` is divisible by two
  see if integer `<num>` is an even number

<num> % <int> == 0
  check if number `<num>` is divisible by <int>
  test whether `<num>` is a multiple of <int>
  see if <int> divides `<num>`

<num> % <int>
  get the remainder of `<num>` divided by <int>
  compute `<num>` modulo <int>
  what is left when dividing `<num>` by <int>

<num> // <int>
  divide `<num>` by <int> and round down
  integer division of `<num>` by <int>
  how many whole times does <int> fit into `<num>`

divmod(<num>, <int>)
  get quotient and remainder of `<num>` divided by <int>
  divide `<num>` by <int> with remainder
  compute the quotient and the remainder of `<num>` by <int> at once

<num> ** <small>
  raise `<num>` to the power of <small>
  compute `<num>` to the power <small>
  get the <small>th power of `<num>`

<num> += <int>
  increase `<num>` by <int>
  add <int> to variable `<num>` in place
  increment `<num>` by <int>

<num> -= <int>
  decrease `<num>` by <int>
  subtract <int> from variable `<num>` in place
  decrement `<num>` by <int>

math.sqrt(<num>)
  get the square root of `<num>`
  compute the square root of number `<num>`
  which number squared is `<num>`

math.ceil(<num>)
  round `<num>` up to the next integer
  get the ceiling of `<num>`
  smallest integer that is not less than `<num>`

math.floor(<num>)
  round `<num>` down to an integer
  get the floor of `<num>`
  largest integer that is not more than `<num>`

math.gcd(<num1>, <num2>)
  get the greatest common divisor of `<num1>` and `<num2>`
  largest number that divides both `<num1>` and `<num2>`
  compute the gcd of integers `<num1>` and `<num2>`

math.factorial(<num>)
  get the factorial of `<num>`
  compute the product of the integers from 1 to `<num>`
  factorial of number `<num>`

math.pi * <num> ** 2
  get the area of a circle with radius `<num>`
  compute the circle area for radius `<num>`
  pi times `<num>` squared

bin(<num>)
  convert integer `<num>` to a binary string
  get the binary representation of `<num>` with prefix
  write `<num>` in base 2

bin(<num>).count('1')
  count the one bits in integer `<num>`
  get the number of ones in the binary form of `<num>`
  how many bits are set in `<num>`

hex(<num>)
  convert integer `<num>` to a hexadecimal string
  get the hex representation of `<num>` with prefix
  write `<num>` in base 16

str(<num>)
  convert number `<num>` to a string
  get `<num>` as a string
  turn integer `<num>` into a string

int(<num>)
  convert float `<num>` to an integer
  cut off the decimals of `<num>`
  truncate number `<num>` to an int

[int(c) for c in str(<num>)]
  get a list of the digits of integer `<num>`
  split number `<num>` into its digits
  digits of `<num>` as a list of ints

sum(int(c) for c in str(<num>))
  get the sum of the digits of integer `<num>`
  add up the digits of number `<num>`
  compute the digit sum of `<num>`

len(str(<num>))
  count the digits of integer `<num>`
  get the number of digits in `<num>`
  how many digits does number `<num>` have

int(str(<num>)[::-1])
  reverse the digits of integer `<num>`
  get number `<num>` with its digits backwards
  integer with the digits of `<num>` in reverse order

max(<num1>, <num2>)
  get the larger of `<num1>` and `<num2>`
  which of `<num1>` and `<num2>` is greater
  maximum of the two numbers `<num1>` and `<num2>`

min(<num1>, <num2>)
  get the smaller of `<num1>` and `<num2>`
  which of `<num1>` and `<num2>` is less
  minimum of the two numbers `<num1>` and `<num2>`

max(<int1>, min(<num>, <int2>))
  limit number `<num>` to the range from <int1> to <int2>
  clamp `<num>` between <int1> and <int2>
  keep `<num>` within <int1> and <int2>

<int1> <= <num> <= <int2>
  check if `<num>` is between <int1> and <int2>
  test whether number `<num>` lies in the range <int1> to <int2>
  see if `<num>` is at least <int1> and at most <int2>
"""
