"""Planted bugs: does the simulated chat find mistakes that one can make in this server?

Each is a mistake of a line or a few, put into the running server in memory, with no file changed, and then
hunted by the very scenario that the sound server has to pass, by seed alone. A scenario that serves one
mutant would prove nothing: where one is not found, the common plans or the judging become better, for all.

mutant         how a mistake is planted, and taken out again
planted        all of them, by where they are made
hunt           seed after seed, until one is found
__main__       `nox -s mutants`: all of them from twenty starting points each, in a table
test_mutants   each by a seed that is known to find it: the short form, for the default run
"""
