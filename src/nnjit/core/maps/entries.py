"""What is made of a registry's entry is made once, and again where the entry was replaced."""

import functools

__all__ = ["once_for"]


def once_for(find):
    """Decorator for a function of names and a precision.

    Units have names of entries, and somebody who tries formulas out registers another one under
    the same name. What was made of the former stays, since plans keep its address.

    Parameters
    ----------
    find : function
        Of the same names; returns the entries, or what else the result depends on.
    """

    def decorate(make):
        present, former = {}, []

        @functools.wraps(make)
        def of(*names_and_single):
            found = find(*names_and_single[:-1])
            entry, made = present.get(names_and_single, (None, None))
            if made is None or not (entry is found or entry == found):
                former.append(made)
                made = make(*names_and_single)
                present[names_and_single] = found, made
            return made

        return of

    return decorate
