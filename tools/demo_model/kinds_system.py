"""One-line operations on dictionaries, files, dates, objects and the library: code, then ways to ask for it.

Read by `tasks.demo.corpus`; slots are explained in `tasks.demo.slots`. Data only.
"""

TABLE = r"""
<dict>[<key>]
  get the value of key <key> in dictionary `<dict>`
  look up <key> in `<dict>`
  access the entry <key> of dict `<dict>`

<dict>.get(<key>, <int>)
  get the value of key <key> in dictionary `<dict>` or <int> if it is missing
  look up <key> in `<dict>` with default <int>
  value for <key> in dict `<dict>`, falling back to <int>

<dict>.get(<key>)
  get the value of key <key> in dictionary `<dict>` or None
  look up <key> in `<dict>` without an error if it is missing
  value for <key> in dict `<dict>` or `None`

<dict>[<key>] = <int>
  set key <key> of dictionary `<dict>` to <int>
  store <int> under <key> in `<dict>`
  assign the value <int> to key <key> in dict `<dict>`

<dict>[<key>] += 1
  increase the value of key <key> in dictionary `<dict>` by one
  increment the counter <key> of `<dict>`
  add 1 to entry <key> in dict `<dict>`

del <dict>[<key>]
  delete key <key> from dictionary `<dict>`
  remove the entry <key> of `<dict>`
  drop key <key> in dict `<dict>`

<dict>.pop(<key>, None)
  remove key <key> from dictionary `<dict>` if it exists
  delete <key> from `<dict>` without an error if it is missing
  pop key <key> of `<dict>` with default None

<key> in <dict>
  check if key <key> is in dictionary `<dict>`
  test whether dict `<dict>` has the key <key>
  see if dictionary `<dict>` has an entry for <key>

<dict>.setdefault(<key>, []).append(<int>)
  append <int> to the list under key <key> of dictionary `<dict>`, creating it if missing
  add <int> to the list stored at <key> in `<dict>` with `setdefault`
  put <int> in the list for key <key> of dict `<dict>`, starting an empty list if needed

<dict1>.update(<dict2>)
  update dictionary `<dict1>` with the entries of `<dict2>`
  copy all keys and values of dict `<dict2>` into dict `<dict1>`
  merge dictionary `<dict2>` into dictionary `<dict1>` in place

{**<dict1>, **<dict2>}
  merge dictionaries `<dict1>` and `<dict2>` into a new one
  combine dict `<dict1>` and dict `<dict2>` without changing them
  get a new dictionary with all entries of `<dict1>` and `<dict2>`

list(<dict>.keys())
  get a list of the keys of dictionary `<dict>`
  all keys in `<dict>` as a list
  list the keys of dict `<dict>`

list(<dict>.values())
  get a list of the values of dictionary `<dict>`
  all values in `<dict>` as a list
  list the values of dict `<dict>`

list(<dict>.items())
  get a list of key and value tuples of dictionary `<dict>`
  convert dictionary `<dict>` to a list of pairs
  list the items of dict `<dict>`

sorted(<dict>)
  get a sorted list of the keys of dictionary `<dict>`
  sort the keys of `<dict>`
  keys of dict `<dict>` in order

sorted(<dict>.items(), key=lambda x: x[1])
  sort the items of dictionary `<dict>` by value
  get key and value pairs of `<dict>` ordered by value
  order the entries of dict `<dict>` from lowest to highest value

sorted(<dict>, key=<dict>.get)
  get the keys of dictionary `<dict>` sorted by value
  sort the keys of `<dict>` by their values
  order the keys of dict `<dict>` from lowest to highest value

max(<dict>, key=<dict>.get)
  get the key with the largest value in dictionary `<dict>`
  find the key of `<dict>` that has the maximum value
  which key of dict `<dict>` has the highest value

min(<dict>, key=<dict>.get)
  get the key with the smallest value in dictionary `<dict>`
  find the key of `<dict>` that has the minimum value
  which key of dict `<dict>` has the lowest value

max(<dict>.values())
  get the largest value in dictionary `<dict>`
  find the maximum of the values of `<dict>`
  highest value of dict `<dict>`

sum(<dict>.values())
  sum all values in dictionary `<dict>`
  get the total of the values of `<dict>`
  add up the values of dict `<dict>`

len(<dict>)
  get the number of entries in dictionary `<dict>`
  count the keys of dict `<dict>`
  how many items does dictionary `<dict>` have

{v: k for k, v in <dict>.items()}
  swap keys and values of dictionary `<dict>`
  invert dictionary `<dict>`
  make a dict that maps the values of `<dict>` to its keys

{k: v for k, v in <dict>.items() if v > <int>}
  get the entries of dictionary `<dict>` whose value is greater than <int>
  filter dict `<dict>` for values greater than <int>
  keep only items of `<dict>` with a value that exceeds <int>

{k: v for k, v in <dict>.items() if k != <key>}
  get a copy of dictionary `<dict>` without key <key>
  filter out the key <key> of dict `<dict>`
  new dictionary with all items of `<dict>` except <key>

{k: v * <int> for k, v in <dict>.items()}
  multiply every value of dictionary `<dict>` by <int>
  get dict `<dict>` with all values times <int>
  scale the values of `<dict>` by a factor of <int>

{k.lower(): v for k, v in <dict>.items()}
  convert the keys of dictionary `<dict>` to lower case
  get dict `<dict>` with lowercase keys
  make all keys of `<dict>` small letters

dict(zip(<list1>, <list2>))
  create a dictionary with keys from list `<list1>` and values from list `<list2>`
  make a dict out of list of keys `<list1>` and list of values `<list2>`
  map the elements of `<list1>` to the elements of `<list2>`

dict(<list>)
  convert list of pairs `<list>` to a dictionary
  make a dict from list of tuples `<list>`
  turn the key value tuples of `<list>` into a dictionary

{x: len(x) for x in <list>}
  create a dictionary from each string in `<list>` to its length
  map every word of `<list>` to its number of characters
  make a dict of the lengths of the strings in `<list>`

{x: i for i, x in enumerate(<list>)}
  create a dictionary from each element of `<list>` to its index
  map every item of `<list>` to its position
  make a dict of the indices of the elements in `<list>`

{x: <list>.count(x) for x in set(<list>)}
  create a dictionary of the counts of each element in `<list>` with a comprehension
  map every distinct item of `<list>` to how often it occurs, using `count`
  dict comprehension that counts the elements of `<list>`

dict.fromkeys(<list>, <int>)
  create a dictionary with the keys in list `<list>` all set to <int>
  make a dict that maps every element of `<list>` to <int>
  initialize a dictionary from `<list>` with value <int> for each key

collections.Counter(<list>)
  count how often each element occurs in list `<list>`
  get the frequency of all items in `<list>`
  tally the elements of list `<list>`

collections.Counter(<list>).most_common(<small>)
  get the <small> most common elements of list `<list>` with their counts
  find the <small> items that occur most often in `<list>`
  top <small> most frequent values of list `<list>`

collections.Counter(<list>).most_common(1)[0][0]
  get the most common element of list `<list>`
  find the item that occurs most often in `<list>`
  most frequent value of list `<list>`

<var> = collections.defaultdict(list)
  create a defaultdict of lists called `<var>`
  make `<var>` a dictionary whose missing values are empty lists
  initialize `<var>` as a defaultdict with list

<var> = collections.defaultdict(int)
  create a defaultdict of integers called `<var>`
  make `<var>` a dictionary whose missing values are 0
  initialize `<var>` as a defaultdict with int

<var> = collections.deque(maxlen=<int>)
  create a deque `<var>` that holds at most <int> elements
  make `<var>` a queue with maximum length <int>
  initialize `<var>` as a bounded deque of <int> items

<list>.appendleft(<int>)
  add <int> to the left end of deque `<list>`
  put <int> at the front of the deque `<list>`
  push <int> on the left of deque `<list>`

list(itertools.chain(<list1>, <list2>))
  chain lists `<list1>` and `<list2>` into one list with itertools
  use `itertools.chain` to join `<list1>` and `<list2>`
  itertools way to concatenate lists `<list1>` and `<list2>`

list(itertools.chain.from_iterable(<list>))
  flatten list of lists `<list>` with itertools
  use `itertools` to make nested list `<list>` flat
  itertools way to turn the list of lists `<list>` into one list

list(itertools.combinations(<list>, <small>))
  get all combinations of <small> elements of list `<list>`
  list every way to choose <small> items from `<list>`
  all subsets of size <small> of list `<list>`

list(itertools.permutations(<list>))
  get all permutations of list `<list>`
  list every ordering of the elements in `<list>`
  all possible arrangements of list `<list>`

list(itertools.product(<list1>, <list2>))
  get the cartesian product of lists `<list1>` and `<list2>`
  list all pairs of an element of `<list1>` and an element of `<list2>`
  all combinations of one item from `<list1>` with one from `<list2>`

list(itertools.accumulate(<list>))
  get the running totals of list `<list>`
  cumulative sums of the numbers in `<list>`
  list of partial sums of list `<list>`

functools.reduce(lambda x, y: x * y, <list>)
  multiply all numbers in list `<list>` with reduce
  get the product of list `<list>` using functools
  use `reduce` to compute the product of the elements in `<list>`

math.prod(<list>)
  get the product of the numbers in list `<list>`
  multiply all elements of `<list>` together
  product of all values in `<list>`

heapq.nlargest(<small>, <list>)
  get the <small> largest elements of list `<list>` with heapq
  use a heap to find the top <small> values in `<list>`
  heapq way to take the <small> biggest numbers of `<list>`

heapq.heappush(<list>, <int>)
  push <int> onto heap `<list>`
  add the value <int> to the heap `<list>`
  insert <int> in heap `<list>`

list(map(<func>, <list>))
  apply function `<func>` to each element of list `<list>`
  call `<func>` on every item of `<list>` and collect the results
  map function `<func>` over list `<list>`

list(filter(<func>, <list>))
  keep the elements of list `<list>` for which function `<func>` is true
  filter list `<list>` with the function `<func>`
  select the items of `<list>` that `<func>` accepts

list(map(int, <str>.split()))
  get a list of integers from the space separated string `<str>`
  split string `<str>` on whitespace and convert the parts to ints
  parse the numbers separated by blanks in `<str>`

<list>.sort(key=<func>)
  sort list `<list>` in place using function `<func>` as key
  order list `<list>` in place by the result of `<func>`
  in place sort of `<list>` with key function `<func>`

<func>(*<list>)
  call function `<func>` with the elements of list `<list>` as arguments
  unpack list `<list>` into the arguments of `<func>`
  pass the items of `<list>` as positional arguments to `<func>`

<func>(**<dict>)
  call function `<func>` with dictionary `<dict>` as keyword arguments
  unpack dict `<dict>` into the keyword arguments of `<func>`
  pass the entries of `<dict>` as named arguments to `<func>`

<func> = lambda x: x * <int>
  define a lambda `<func>` that multiplies its argument by <int>
  make a function `<func>` that returns <int> times x as a lambda
  assign to `<func>` a lambda for multiplying by <int>

<func> = lambda x: x + <int>
  define a lambda `<func>` that adds <int> to its argument
  make a function `<func>` that returns x plus <int> as a lambda
  assign to `<func>` a lambda for adding <int>

functools.partial(<func>, <int>)
  fix the first argument of function `<func>` to <int>
  make a partial of `<func>` with first argument <int>
  bind <int> as the first argument of `<func>`

class <cls>(Exception): pass
  define an exception class `<cls>`
  create a custom exception named `<cls>`
  make an empty class `<cls>` that inherits from Exception

raise ValueError(<word>)
  raise a ValueError with message <word>
  throw a value error that says <word>
  signal a `ValueError` with the text <word>

raise KeyError(<word>)
  raise a KeyError with message <word>
  throw a key error that says <word>
  signal a `KeyError` with the text <word>

isinstance(<obj>, <cls>)
  check if `<obj>` is an instance of class `<cls>`
  test whether object `<obj>` has the type `<cls>`
  see if `<obj>` is a `<cls>`

isinstance(<var>, str)
  check if `<var>` is a string
  test whether variable `<var>` has type str
  see if `<var>` is of string type

isinstance(<var>, list)
  check if `<var>` is a list
  test whether variable `<var>` has type list
  see if `<var>` is of list type

type(<obj>).__name__
  get the class name of object `<obj>`
  name of the type of `<obj>` as a string
  what is the class of `<obj>` called

getattr(<obj>, <key>)
  get the attribute named <key> of object `<obj>`
  access attribute <key> of `<obj>` by its name as a string
  read the attribute with name <key> from object `<obj>`

setattr(<obj>, <key>, <int>)
  set the attribute named <key> of object `<obj>` to <int>
  assign <int> to attribute <key> of `<obj>` by its name as a string
  give object `<obj>` an attribute <key> with value <int>

hasattr(<obj>, <key>)
  check if object `<obj>` has an attribute named <key>
  test whether `<obj>` has attribute <key>
  see if attribute <key> exists on object `<obj>`

callable(<obj>)
  check if `<obj>` can be called
  test whether `<obj>` is callable
  see if object `<obj>` is a function

<var> is None
  check if `<var>` is None
  test whether variable `<var>` is `None`
  see if `<var>` has no value

<var1> if <var2> else <int>
  get `<var1>` if `<var2>` is true, else <int>
  conditional expression that gives `<var1>` when `<var2>` holds and <int> otherwise
  choose `<var1>` or <int> depending on `<var2>`

copy.deepcopy(<obj>)
  make a deep copy of `<obj>`
  copy object `<obj>` with everything in it
  get a recursive duplicate of `<obj>`

print(<var>)
  print the value of variable `<var>`
  output `<var>` to the screen
  write `<var>` to standard output

print(*<list>)
  print the elements of list `<list>` separated by spaces
  output all items of `<list>` on one line
  write the elements of `<list>` on a line

print(<var>, end='')
  print `<var>` without a newline
  output `<var>` and stay on the same line
  write `<var>` to standard output with no line break at the end

print(*<list>, sep='\n')
  print each element of list `<list>` on its own line
  output the items of `<list>` one per line
  write the elements of `<list>` separated by line breaks to the screen

<var> = input(<word>)
  read a line from the user with prompt <word> into `<var>`
  ask the user for input with the text <word> and store it in `<var>`
  set `<var>` to what the user types after prompt <word>

<var> = int(input())
  read an integer from standard input into `<var>`
  ask the user for a whole number and store it in `<var>`
  set `<var>` to an int typed by the user

open(<filename>).read()
  read the whole content of file <filename>
  get the text of file <filename> as a string
  load <filename> as one string

open(<filename>).readlines()
  get a list of the lines in file <filename>
  read all lines of file <filename>
  load the lines of <filename> into a list

<file> = open(<filename>, 'w')
  open file <filename> for writing as `<file>`
  open <filename> in write mode and call it `<file>`
  set `<file>` to <filename> opened for writing

<file> = open(<filename>, 'a')
  open file <filename> for appending as `<file>`
  open <filename> in append mode and call it `<file>`
  set `<file>` to <filename> opened to add at the end

<file> = open(<filename>, 'rb')
  open file <filename> for reading bytes as `<file>`
  open <filename> in binary mode and call it `<file>`
  set `<file>` to <filename> opened for binary reading

<file>.write(<str> + '\n')
  write string `<str>` and a newline to file `<file>`
  output `<str>` as a line to file object `<file>`
  add the line `<str>` to open file `<file>`

<file>.close()
  close file `<file>`
  close the open file object `<file>`
  finish working with file `<file>`

[line.strip() for line in <file>]
  get a list of the stripped lines of file `<file>`
  read the lines of open file `<file>` without surrounding whitespace
  strip every line of file object `<file>` into a list

sum(1 for line in <file>)
  count the lines of file `<file>`
  get the number of lines in open file `<file>`
  how many lines does file object `<file>` have

os.path.exists(<filename>)
  check if file <filename> exists
  test whether there is a file <filename>
  see if path <filename> exists

os.path.isdir(<dir>)
  check if <dir> is a directory
  test whether path <dir> is a folder
  see if there is a directory <dir>

os.path.getsize(<filename>)
  get the size of file <filename> in bytes
  how many bytes does file <filename> have
  file size of <filename>

os.path.join(<dir>, <filename>)
  join directory <dir> and file name <filename> to a path
  build the path of <filename> in folder <dir>
  combine <dir> and <filename> into one path

os.path.basename(<str>)
  get the file name of path `<str>`
  last component of path `<str>`
  strip the directories from path `<str>`

os.path.dirname(<str>)
  get the directory of path `<str>`
  folder part of path `<str>`
  strip the file name from path `<str>`

os.listdir(<dir>)
  list the files in directory <dir>
  get the names of all entries in folder <dir>
  what is in the directory <dir>

os.makedirs(<dir>, exist_ok=True)
  create directory <dir> if it does not exist
  make folder <dir> and its parents unless already there
  create the directories of path <dir>, no error if present

os.remove(<filename>)
  delete file <filename>
  remove the file <filename> from disk
  erase file <filename>

os.rename(<filename1>, <filename2>)
  rename file <filename1> to <filename2>
  change the name of file <filename1> to <filename2>
  move file <filename1> to the new name <filename2>

os.getcwd()
  get the current working directory
  in which directory is the program running
  path of the current folder

os.environ[<key>]
  get the environment variable <key>
  read environment variable <key>
  value of the variable <key> in the environment

os.environ.get(<key>, <word>)
  get the environment variable <key> or <word> if it is not set
  read environment variable <key> with default <word>
  value of environment variable <key>, falling back to <word>

sys.argv[1:]
  get the command line arguments without the program name
  list of arguments passed to the script
  command line arguments as a list

sys.exit(<small>)
  exit the program with status <small>
  stop the script with exit code <small>
  quit with return code <small>

json.loads(<str>)
  parse json string `<str>`
  convert json text `<str>` to an object
  decode the json in string `<str>`

json.dumps(<dict>)
  convert dictionary `<dict>` to a json string
  serialize `<dict>` as json
  encode dict `<dict>` to json text

json.dumps(<dict>, indent=<small>)
  convert dictionary `<dict>` to a json string indented by <small> spaces
  pretty print `<dict>` as json with indent <small>
  serialize dict `<dict>` as json with an indentation of <small>

json.load(open(<filename>))
  load json from file <filename>
  read the json file <filename>
  parse the content of <filename> as json

json.dump(<dict>, <file>)
  write dictionary `<dict>` as json to file `<file>`
  save `<dict>` to open file `<file>` in json format
  dump dict `<dict>` as json into file object `<file>`

list(csv.reader(<file>))
  read all rows of csv file `<file>` into a list
  parse open file `<file>` as csv
  get a list of the rows in csv file object `<file>`

time.sleep(<small>)
  wait for <small> seconds
  pause the program for <small> seconds
  sleep <small> seconds

time.time()
  get the current time in seconds since the epoch
  current unix timestamp
  seconds since 1970 as a float

datetime.datetime.now()
  get the current date and time
  what time is it now as a datetime
  datetime object for this moment

datetime.date.today()
  get the date of today
  current date without the time
  date object for today

datetime.date(<int1>, <small1>, <small2>)
  create a date for year <int1>, month <small1> and day <small2>
  make a date object from year <int1>, month <small1>, day <small2>
  date with year <int1>, month <small1> and day <small2>

datetime.datetime.strptime(<str>, '%Y-%m-%d')
  parse date string `<str>` of the form year-month-day
  convert string `<str>` such as '2020-01-31' to a datetime
  get a datetime from the string `<str>` in format '%Y-%m-%d'

<date>.strftime('%Y-%m-%d')
  format date `<date>` as year-month-day
  convert datetime `<date>` to a string such as '2020-01-31'
  write date `<date>` in the format '%Y-%m-%d'

<date>.strftime('%H:%M')
  format the time of `<date>` as hours and minutes
  convert datetime `<date>` to a string such as '23:59'
  write the time of `<date>` in the format '%H:%M'

<date>.isoformat()
  get date `<date>` as an iso string
  convert datetime `<date>` to iso format
  iso 8601 text of `<date>`

datetime.date.fromisoformat(<iso>)
  convert iso string <iso> to a date
  parse the date <iso>
  make a date object from <iso>

<date> + datetime.timedelta(days=<int>)
  add <int> days to date `<date>`
  get the date <int> days after `<date>`
  which day is <int> days later than `<date>`

<date> - datetime.timedelta(days=<int>)
  subtract <int> days from date `<date>`
  get the date <int> days before `<date>`
  which day is <int> days earlier than `<date>`

<date> + datetime.timedelta(hours=<int>)
  add <int> hours to datetime `<date>`
  get the time <int> hours after `<date>`
  which time is <int> hours later than `<date>`

(<date1> - <date2>).days
  get the number of days between dates `<date2>` and `<date1>`
  how many days is `<date1>` after `<date2>`
  difference of dates `<date1>` and `<date2>` in days

<date>.weekday()
  get the day of the week of date `<date>` as a number
  which weekday is `<date>`, with monday as 0
  weekday index of date `<date>`

<date>.year
  get the year of date `<date>`
  which year is `<date>` in
  year part of datetime `<date>`

<date>.replace(day=1)
  get the first day of the month of date `<date>`
  set the day of `<date>` to 1
  beginning of the month in which `<date>` lies
"""
