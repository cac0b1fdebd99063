"""What a function that is debugged gets beside its code (`haar dev --debug`); it runs in the sandbox, not here."""
