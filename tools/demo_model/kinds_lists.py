"""One-line operations on lists, tuples and sets: a line of code, then indented ways to ask for it.

Read by `tasks.demo.corpus`; slots are explained in `tasks.demo.slots`. Data only.
"""

TABLE = """
<list>.sort()
  sort list `<list>` in place
  sort `<list>` in ascending order in place
  put the elements of `<list>` in order without making a copy

<list>.sort(reverse=True)
  sort list `<list>` in descending order
  sort `<list>` from largest to smallest in place
  order the list `<list>` in place, biggest first

sorted(<list>)
  get a sorted copy of list `<list>`
  return the elements of `<list>` in ascending order as a new list
  make a sorted version of `<list>` without changing it

sorted(<list>, reverse=True)
  get a copy of `<list>` sorted in descending order
  return a new list with the elements of `<list>` from largest to smallest
  sort `<list>` in reverse order into a new list

sorted(<list>, key=len)
  sort the strings in `<list>` by their length
  get the words of `<list>` ordered by length, shortest first
  order list of strings `<list>` by number of characters

sorted(<list>, key=len, reverse=True)
  sort the strings in `<list>` by their length, longest first
  get `<list>` ordered by descending length of the strings
  order the words of list `<list>` from longest to shortest

sorted(<list>, key=str.lower)
  sort the strings in `<list>` ignoring case
  case insensitive sort of list `<list>`
  sort words in `<list>` alphabetically regardless of upper or lower case

sorted(<list>, key=abs)
  sort numbers in `<list>` by absolute value
  order `<list>` by the magnitude of its numbers
  get list `<list>` sorted by distance from zero

sorted(<list>, key=lambda x: x[1])
  sort list of tuples `<list>` by the second element
  sort `<list>` by the second item of each tuple
  order the pairs in `<list>` by their second value

sorted(<list>, key=lambda x: x[<small>])
  sort list of lists `<list>` by the element at index <small>
  sort the rows of `<list>` by column <small>
  order `<list>` by the item at position <small> of each tuple

sorted(<list>, key=lambda x: x[<key>])
  sort list of dictionaries `<list>` by key <key>
  order the dicts in `<list>` by their value for <key>
  sort `<list>` by the field <key> of each dictionary

sorted(<list>, key=lambda x: x.<attr>)
  sort list of objects `<list>` by attribute `<attr>`
  order the objects in `<list>` by their `<attr>`
  sort `<list>` on the `<attr>` attribute of each element

<list>.reverse()
  reverse list `<list>` in place
  turn the order of `<list>` around in place
  flip list `<list>` without making a copy

<list>[::-1]
  get a reversed copy of list `<list>`
  reverse `<list>` into a new list
  return the elements of `<list>` in reverse order

list(reversed(<list>))
  get list `<list>` backwards using `reversed`
  make a list from the reversed iterator of `<list>`
  use `reversed` to build a backwards list from `<list>`

<list>.append(<int>)
  append <int> to list `<list>`
  add the number <int> to the end of `<list>`
  put <int> at the end of list `<list>`

<list>.append(<word>)
  append string <word> to list `<list>`
  add <word> to the end of list `<list>`
  put the string <word> at the end of `<list>`

<list1>.extend(<list2>)
  append all elements of list `<list2>` to list `<list1>`
  extend list `<list1>` with the elements of `<list2>`
  add every item of `<list2>` to the end of `<list1>`

<list>.insert(0, <int>)
  insert <int> at the beginning of list `<list>`
  put <int> in front of list `<list>`
  prepend the number <int> to `<list>`

<list>.insert(<small>, <word>)
  insert <word> at index <small> of list `<list>`
  put the string <word> into `<list>` at position <small>
  add <word> to `<list>` at index <small>

<list>.pop()
  remove and return the last element of list `<list>`
  pop the last item off `<list>`
  take the final element out of list `<list>`

<list>.pop(0)
  remove and return the first element of list `<list>`
  pop the first item off `<list>`
  take the element at the front out of list `<list>`

del <list>[<small>]
  delete the element at index <small> of list `<list>`
  remove the item at position <small> from `<list>`
  drop item number <small> of list `<list>`

<list>.remove(<word>)
  remove the first occurrence of <word> from list `<list>`
  delete the string <word> from `<list>`
  take <word> out of list `<list>`

<list>.remove(<int>)
  remove the first occurrence of <int> from list `<list>`
  delete the value <int> from `<list>`
  take the number <int> out of list `<list>`

<list>.clear()
  remove all elements from list `<list>`
  empty list `<list>` in place
  clear the contents of `<list>`

<list>.index(<word>)
  get the index of <word> in list `<list>`
  find the position of string <word> in `<list>`
  at which index of list `<list>` is <word>

<list>.count(<int>)
  count how often <int> occurs in list `<list>`
  get the number of occurrences of <int> in `<list>`
  how many times does <int> appear in list `<list>`

<list>[-1]
  get the last element of list `<list>`
  return the final item in `<list>`
  access the element at the end of list `<list>`

<list>[0]
  get the first element of list `<list>`
  return the item at the start of `<list>`
  access the element at the front of list `<list>`

<list>[:<small>]
  get the first <small> elements of list `<list>`
  take the first <small> items of `<list>`
  slice off the leading <small> elements of list `<list>`

<list>[-<small>:]
  get the last <small> elements of list `<list>`
  take the final <small> items of `<list>`
  return the <small> elements at the end of list `<list>`

<list>[<small>:]
  get all elements of list `<list>` from index <small> on
  skip the first <small> items of `<list>`
  return `<list>` without its first <small> elements

<list>[:-1]
  get all but the last element of list `<list>`
  return `<list>` without its final item
  drop the last element of `<list>` in a copy

<list>[1:]
  get all but the first element of list `<list>`
  return `<list>` without its first item
  skip the first element of list `<list>`

<list>[::2]
  get every second element of list `<list>`
  take every other item of `<list>` starting with the first
  return the elements of `<list>` at even indices

<list>[::<small>]
  get every <small>th element of list `<list>`
  take each <small>th item of `<list>`
  step through list `<list>` by <small>

<list>[1::2]
  get the elements of list `<list>` at odd indices
  take every other item of `<list>` starting with the second
  return the items at odd positions in `<list>`

len(<list>)
  get the number of elements in list `<list>`
  get the length of list `<list>`
  how many items are in `<list>`

sum(<list>)
  sum all numbers in list `<list>`
  get the total of list `<list>`
  add up the elements of `<list>`

max(<list>)
  get the largest number in list `<list>`
  find the maximum of `<list>`
  what is the biggest element in list `<list>`

min(<list>)
  get the smallest number in list `<list>`
  find the minimum of `<list>`
  what is the lowest element in list `<list>`

max(<list>, key=len)
  get the longest string in list `<list>`
  find the word with the most characters in `<list>`
  longest element of the list of strings `<list>`

min(<list>, key=len)
  get the shortest string in list `<list>`
  find the word with the fewest characters in `<list>`
  shortest element of the list of strings `<list>`

<list>.index(max(<list>))
  get the index of the largest element in list `<list>`
  find the position of the maximum in `<list>`
  at which index is the biggest value of list `<list>`

<list>.index(min(<list>))
  get the index of the smallest element in list `<list>`
  find the position of the minimum in `<list>`
  at which index is the lowest value of list `<list>`

sum(<list>) / len(<list>)
  get the average of the numbers in list `<list>`
  calculate the mean of list `<list>`
  compute the arithmetic mean of `<list>`

max(<list>) - min(<list>)
  get the difference between the largest and smallest number in list `<list>`
  compute the range between maximum and minimum of `<list>`
  calculate the spread of the values in `<list>`

list(set(<list>))
  remove duplicates from list `<list>`
  get a list of the unique elements in `<list>`
  drop repeated values of list `<list>`

list(dict.fromkeys(<list>))
  remove duplicates from list `<list>` while keeping the order
  get the unique elements of `<list>` in their original order
  drop repeated values of `<list>` and preserve order

len(set(<list>))
  count the distinct elements in list `<list>`
  get the number of unique values in `<list>`
  how many different items are in list `<list>`

len(<list>) == len(set(<list>))
  check if all elements in list `<list>` are unique
  test whether list `<list>` has no duplicates
  see if no value occurs twice in `<list>`

len(set(<list>)) == 1
  check if all elements in list `<list>` are the same
  test whether list `<list>` holds only one distinct value
  see if every item of `<list>` is equal

not <list>
  check if list `<list>` is empty
  test whether `<list>` has no elements
  see if there is nothing in list `<list>`

<int> in <list>
  check if <int> is in list `<list>`
  test whether list `<list>` contains the number <int>
  see if `<list>` has the value <int>

<word> in <list>
  check if string <word> is in list `<list>`
  test whether list `<list>` contains <word>
  see if <word> occurs in `<list>`

<word> not in <list>
  check if string <word> is not in list `<list>`
  test whether <word> is missing from `<list>`
  see if list `<list>` lacks <word>

<list1> + <list2>
  concatenate lists `<list1>` and `<list2>`
  join two lists `<list1>` and `<list2>` into one
  get list `<list1>` followed by list `<list2>`

<list>.copy()
  make a shallow copy of list `<list>`
  copy list `<list>`
  get a duplicate of list `<list>`

[<int>] * <small>
  create a list of <small> elements that are all <int>
  make a list with the number <int> repeated <small> times
  build a list containing <int> <small> times

[0] * <int>
  create a list of <int> zeros
  make a list with <int> elements that are 0
  initialize a list with <int> zeros

[[0] * <small1> for _ in range(<small2>)]
  create a <small2> by <small1> matrix of zeros as nested lists
  make a 2D list with <small2> rows and <small1> columns filled with 0
  build a nested list of zeros with <small2> rows of length <small1>

list(range(<int>))
  create a list of the integers from 0 up to but not including <int>
  make a list of the first <int> integers starting with 0
  get a list of numbers below <int> counting from zero

list(range(1, <int> + 1))
  create a list of the integers from 1 to <int>
  make a list counting from 1 up to and including <int>
  get the numbers 1 to <int> as a list

[x ** 2 for x in <list>]
  square each number in list `<list>`
  get the squares of the elements in `<list>`
  make a list of every number of `<list>` squared

[x * <int> for x in <list>]
  multiply every element of list `<list>` by <int>
  get a list with each number in `<list>` times <int>
  scale all numbers of `<list>` by a factor of <int>

[x + <int> for x in <list>]
  add <int> to each number in list `<list>`
  increase every element of `<list>` by <int>
  get a list of the numbers in `<list>` plus <int>

[abs(x) for x in <list>]
  get the absolute value of each number in list `<list>`
  make every element of `<list>` non-negative
  list of magnitudes of the numbers in `<list>`

[x for x in <list> if x > <int>]
  get all elements of list `<list>` greater than <int>
  filter `<list>` to keep numbers greater than <int>
  select the items in `<list>` that exceed <int>

[x for x in <list> if x < <int>]
  get all elements of list `<list>` less than <int>
  filter `<list>` to keep numbers less than <int>
  select the items in `<list>` that are smaller than <int>

[x for x in <list> if x % 2 == 0]
  get the even numbers in list `<list>`
  keep only even elements of `<list>`
  filter list `<list>` for even values

[x for x in <list> if x % 2 == 1]
  get the odd numbers in list `<list>`
  keep only odd elements of `<list>`
  filter list `<list>` for odd values

[x for x in <list> if x % <int> == 0]
  get the numbers in list `<list>` that are divisible by <int>
  keep only multiples of <int> in `<list>`
  filter list `<list>` for values that <int> divides

[x for x in <list> if x != <int>]
  remove all occurrences of <int> from list `<list>`
  filter out every <int> in `<list>`
  get `<list>` without the elements equal to <int>

[x for x in <list> if x]
  remove all empty strings from list `<list>`
  filter out falsy values from `<list>`
  drop the empty elements of list `<list>`

[x for x in <list> if x is not None]
  remove all None values from list `<list>`
  filter out `None` from `<list>`
  drop the elements of list `<list>` that are None

[x for x in <list1> if x not in <list2>]
  get the elements of list `<list1>` that are not in `<list2>`
  remove all elements of `<list2>` from list `<list1>`
  difference of lists `<list1>` and `<list2>` as a list

[x for x in <list1> if x in <list2>]
  get the elements of list `<list1>` that are also in `<list2>`
  find the common elements of list `<list1>` and list `<list2>`
  keep the items of `<list1>` that occur in `<list2>`

[len(x) for x in <list>]
  get the length of each string in list `<list>`
  make a list of the lengths of the elements in `<list>`
  compute how long every word in `<list>` is

[x.upper() for x in <list>]
  convert every string in list `<list>` to upper case
  uppercase all words of `<list>`
  make all strings in `<list>` capital letters

[x.lower() for x in <list>]
  convert every string in list `<list>` to lower case
  lowercase all words of `<list>`
  make all strings in `<list>` small letters

[x.strip() for x in <list>]
  strip whitespace from every string in list `<list>`
  trim all strings in `<list>`
  remove leading and trailing spaces from each element of `<list>`

[int(x) for x in <list>]
  convert all strings in list `<list>` to integers
  parse every element of `<list>` as an int
  turn the list of numeric strings `<list>` into ints

[str(x) for x in <list>]
  convert all elements of list `<list>` to strings
  turn every number in `<list>` into a string
  get a list of strings from list of ints `<list>`

[float(x) for x in <list>]
  convert all strings in list `<list>` to floats
  parse every element of `<list>` as a float
  turn the strings of `<list>` into floating point numbers

[x[0] for x in <list>]
  get the first element of each tuple in list `<list>`
  collect the first item of every sublist of `<list>`
  extract column 0 from the list of lists `<list>`

[x[<small>] for x in <list>]
  get the element at index <small> of each sublist in `<list>`
  extract column <small> from the list of lists `<list>`
  collect item <small> of every row in `<list>`

[x[<key>] for x in <list>]
  get the value of key <key> from each dictionary in list `<list>`
  collect field <key> of all dicts in `<list>`
  extract <key> from every dictionary of `<list>`

[x.<attr> for x in <list>]
  get attribute `<attr>` of every object in list `<list>`
  collect the `<attr>` of all elements in `<list>`
  make a list of the `<attr>` attributes of the objects in `<list>`

[x for x in <list> if x.startswith(<word>)]
  get the strings in list `<list>` that start with <word>
  filter `<list>` for words beginning with <word>
  keep the elements of `<list>` which begin with the prefix <word>

[x for x in <list> if x.endswith(<ext>)]
  get the strings in list `<list>` that end with <ext>
  filter `<list>` for names ending in <ext>
  keep the elements of `<list>` with the suffix <ext>

[x for x in <list> if <word> in x]
  get the strings in list `<list>` that contain <word>
  filter `<list>` for elements containing the substring <word>
  keep the items of `<list>` in which <word> occurs

[x for x in <list> if len(x) > <small>]
  get the strings in list `<list>` longer than <small> characters
  filter `<list>` for words with more than <small> letters
  keep the elements of `<list>` whose length exceeds <small>

[x for x in <list> if len(x) == <small>]
  get the strings in list `<list>` with exactly <small> characters
  filter `<list>` for words of length <small>
  keep the elements of `<list>` that are <small> long

[x for x in <list> if isinstance(x, int)]
  get the integers in list `<list>`
  keep only elements of `<list>` that are ints
  filter list `<list>` by type int

[x for x in <list> if isinstance(x, str)]
  get the strings in the mixed list `<list>`
  keep only elements of `<list>` that are strings
  filter list `<list>` by type str

[x for sub in <list> for x in sub]
  flatten list of lists `<list>`
  make a flat list out of nested list `<list>`
  turn the list of lists `<list>` into one list

[<list>[i:i + <small>] for i in range(0, len(<list>), <small>)]
  split list `<list>` into chunks of size <small>
  divide `<list>` into pieces of <small> elements
  break list `<list>` up into groups of <small>

[i for i, x in enumerate(<list>) if x == <int>]
  get all indices of <int> in list `<list>`
  find every position where `<list>` has the value <int>
  list the indexes at which <int> occurs in `<list>`

list(zip(<list1>, <list2>))
  pair up the elements of lists `<list1>` and `<list2>`
  combine `<list1>` and `<list2>` into a list of tuples
  zip lists `<list1>` and `<list2>` into a list

[x + y for x, y in zip(<list1>, <list2>)]
  add lists `<list1>` and `<list2>` element by element
  get the elementwise sum of `<list1>` and `<list2>`
  sum the corresponding numbers of lists `<list1>` and `<list2>`

[x * y for x, y in zip(<list1>, <list2>)]
  multiply lists `<list1>` and `<list2>` element by element
  get the elementwise product of `<list1>` and `<list2>`
  list of products of corresponding numbers in `<list1>` and `<list2>`

sum(x * y for x, y in zip(<list1>, <list2>))
  compute the dot product of lists `<list1>` and `<list2>`
  sum the products of corresponding elements in `<list1>` and `<list2>`
  get the scalar product of vectors `<list1>` and `<list2>`

list(zip(*<list>))
  transpose list of lists `<list>`
  unzip list of tuples `<list>`
  swap rows and columns of the nested list `<list>`

list(enumerate(<list>))
  get a list of index and value pairs of `<list>`
  number the elements of list `<list>` as tuples
  pair each element in `<list>` with its index

list(enumerate(<list>, 1))
  get a list of numbered elements of `<list>` starting at 1
  pair each element in `<list>` with its position counting from 1
  enumerate list `<list>` beginning with one

sum(x for x in <list> if x > <int>)
  sum the numbers in list `<list>` that are greater than <int>
  get the total of all elements of `<list>` greater than <int>
  add up the values in `<list>` which exceed <int>

sum(1 for x in <list> if x > <int>)
  count the numbers in list `<list>` that are greater than <int>
  how many elements of `<list>` exceed <int>
  get the number of values in `<list>` greater than <int>

sum(x ** 2 for x in <list>)
  sum the squares of the numbers in list `<list>`
  get the total of every element in `<list>` squared
  add up the squared values of `<list>`

sum(len(x) for x in <list>)
  get the total length of all strings in list `<list>`
  count the characters of all words in `<list>` together
  sum the lengths of the elements in `<list>`

all(x > <int> for x in <list>)
  check if all numbers in list `<list>` are greater than <int>
  test whether every element of `<list>` exceeds <int>
  see if no value in `<list>` is <int> or less

any(x > <int> for x in <list>)
  check if any number in list `<list>` is greater than <int>
  test whether at least one element of `<list>` exceeds <int>
  see if some value in `<list>` is greater than <int>

any(x < 0 for x in <list>)
  check if any number in list `<list>` is negative
  test whether `<list>` has at least one negative element
  see if some value in `<list>` is below zero

all(x % 2 == 0 for x in <list>)
  check if all numbers in list `<list>` are even
  test whether every element of `<list>` is even
  see if list `<list>` holds only even values

<list> == sorted(<list>)
  check if list `<list>` is sorted
  test whether the elements of `<list>` are in ascending order
  see if `<list>` is already in order

<list> == <list>[::-1]
  check if list `<list>` is a palindrome
  test whether list `<list>` reads the same in both directions
  see if `<list>` equals its reverse

next((x for x in <list> if x > <int>), None)
  get the first element of list `<list>` greater than <int> or None
  find the first number in `<list>` that exceeds <int>, else `None`
  first item of `<list>` greater than <int>, None if there is none

sorted(set(<list>))
  get the unique elements of list `<list>` in sorted order
  sort list `<list>` and remove duplicates
  sorted distinct values of `<list>`

sorted(<list>)[-<small>:]
  get the <small> largest numbers of list `<list>` in ascending order
  find the top <small> values of `<list>` by sorting
  take the <small> biggest elements of list `<list>`

sorted(<list>)[len(<list>) // 2]
  get the median element of list `<list>`
  find the middle value of the sorted list `<list>`
  sort `<list>` and return the element in the middle

<list1>, <list2> = <list2>, <list1>
  swap variables `<list1>` and `<list2>`
  exchange the values of `<list1>` and `<list2>`
  let `<list1>` and `<list2>` trade places

<list>[<small1>], <list>[<small2>] = <list>[<small2>], <list>[<small1>]
  swap the elements at index <small1> and <small2> of list `<list>`
  exchange positions <small1> and <small2> in `<list>`
  interchange items <small1> and <small2> of list `<list>`

tuple(<list>)
  convert list `<list>` to a tuple
  make a tuple from list `<list>`
  get the elements of `<list>` as a tuple

set(<list>)
  convert list `<list>` to a set
  make a set from the elements of `<list>`
  get the elements of list `<list>` as a set

<set>.add(<word>)
  add <word> to set `<set>`
  put the string <word> into the set `<set>`
  insert element <word> in set `<set>`

<set>.discard(<word>)
  remove <word> from set `<set>` if it is there
  discard the element <word> of set `<set>`
  take <word> out of set `<set>` without an error if missing

<set1> | <set2>
  get the union of sets `<set1>` and `<set2>`
  combine the sets `<set1>` and `<set2>`
  all elements that are in set `<set1>` or in set `<set2>`

<set1> & <set2>
  get the intersection of sets `<set1>` and `<set2>`
  find elements that are in both set `<set1>` and set `<set2>`
  common members of sets `<set1>` and `<set2>`

<set1> - <set2>
  get the difference of sets `<set1>` and `<set2>`
  find elements of set `<set1>` that are not in set `<set2>`
  subtract set `<set2>` from set `<set1>`

<set1> ^ <set2>
  get the symmetric difference of sets `<set1>` and `<set2>`
  find elements that are in exactly one of sets `<set1>` and `<set2>`
  members of either `<set1>` or `<set2>` but not both

<set1> <= <set2>
  check if set `<set1>` is a subset of set `<set2>`
  test whether set `<set2>` contains all elements of set `<set1>`
  see if every member of set `<set1>` is in set `<set2>`

set(<list1>) & set(<list2>)
  get a set of the elements common to lists `<list1>` and `<list2>`
  set intersection of the lists `<list1>` and `<list2>`
  which values are in both list `<list1>` and list `<list2>`, as a set

random.choice(<list>)
  pick a random element of list `<list>`
  choose an item of `<list>` at random
  get one random element from `<list>`

random.shuffle(<list>)
  shuffle list `<list>` in place
  put the elements of `<list>` in random order
  randomize the order of list `<list>`

random.sample(<list>, <small>)
  pick <small> different random elements of list `<list>`
  draw a random sample of <small> items from `<list>`
  choose <small> elements of `<list>` at random without repetition

random.randint(1, <int>)
  get a random integer between 1 and <int>
  generate a random whole number from 1 to <int>
  roll a die with <int> sides
"""
