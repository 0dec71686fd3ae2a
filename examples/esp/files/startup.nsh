echo This file is run by the EFI shell.
