"""Mutation tests: check that the simulated chat finds typical mistakes in this server.

A mutant is a mistake of one or a few lines. It is applied to the running server in memory, without changing
a file, and is then hunted by the scenario that the unmodified server has to pass, by seed alone. A scenario
written for a single mutant would prove nothing: when a mutant is not found, improve the common plans or the
judge, for all mutants.

mutant         apply a mutant and remove it again
planted        the list of all mutants, by the area they change
hunt           run seed after seed until a mutant is found
__main__       `nox -s mutants`: hunt each mutant from twenty starting points and print a table
test_mutants   run each mutant with a seed known to find it: the short form, for the default run
"""
