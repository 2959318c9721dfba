"""What is dropped when there is no more room: policies, and ghost caches that tell what each would have scored.

Pure, one policy per file. Policies know neither keys nor values nor time: they order nodes by their use and weigh
them by their bytes. What has expired is dropped by the store before a policy is asked (`expiry.py`), so that
no policy ever holds it to be useful.
"""
